//! Watchers under churn: none misses a change, and none goes back in time.
