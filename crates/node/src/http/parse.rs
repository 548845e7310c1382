//! A raw line into fields: json, kv, accesslog, syslog.
