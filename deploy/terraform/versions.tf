terraform {
  # The tests run it with 1.11.
  required_version = ">= 1.9"
}
