//! The bucket as the place where entries are kept.
