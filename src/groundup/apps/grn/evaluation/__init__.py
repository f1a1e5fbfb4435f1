"""What scores are worth: metrics, intervals, tests, figures, a report and its verdict."""
