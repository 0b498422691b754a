"""Networks made here: data, targets, loss, the loop, and how good the result is."""
