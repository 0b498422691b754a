from detector.evaluation.settings import EvaluationSettings
from detector.settings import Settings


def test_the_confidence_is_lower_than_for_detecting_and_the_rest_is_the_same():
    assert EvaluationSettings().confidence < 0.01 < Settings().confidence
    assert EvaluationSettings(confidence=0.25).confidence == 0.25
    assert EvaluationSettings().nms == Settings().nms
