"""placeholder."""
class Clip: pass
