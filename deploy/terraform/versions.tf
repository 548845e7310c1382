terraform {
  # `optional` with defaults, and validations that look at other variables.
  required_version = ">= 1.9"
}
