//! Names of hosts, as requests and rules write them.

/// A host in the form in which hosts are compared: small letters, no port, no dot at the end.
/// `None` for what cannot be a host.
pub(crate) fn normal(host: &str) -> Option<String> {
    let name = match host.strip_prefix('[') {
        // An IPv6 address.
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            port_or_nothing(port)?;
            address
        }
        None => match host.split_once(':') {
            None => host,
            Some((name, _)) => {
                port_or_nothing(host.get(name.len()..)?)?;
                name
            }
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:*".contains(&byte);
    (!name.is_empty() && name.bytes().all(good)).then(|| name.to_ascii_lowercase())
}

/// Nothing, or a colon and a number (which may be missing, RFC 3986, section 3.2.3).
fn port_or_nothing(port: &str) -> Option<()> {
    let digits = match port {
        "" => return Some(()),
        port => port.strip_prefix(':')?,
    };
    (digits.is_empty() || digits.parse::<u16>().is_ok()).then_some(())
}

/// What a name with one label in front is called by a rule for all of them: `a.b.c` is `*.b.c`.
/// (<https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards>)
pub(crate) fn wildcard(host: &str) -> Option<String> {
    let (_, rest) = host.split_once('.')?;
    Some(format!("*.{rest}"))
}

#[cfg(test)]
mod tests;
