"""What holds the error of local answers under a bound: audits, tests, thresholds, drift."""
