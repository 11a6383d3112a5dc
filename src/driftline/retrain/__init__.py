"""Answers retraining triggers: train a challenger, try it against the champion, promote or refuse it."""
