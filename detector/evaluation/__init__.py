"""How good a network is: average precision, confusion matrix, report."""
