//! Removes secrets from the values of settings.

const REDACTED: &str = "[redacted]";

/// Returns the value of a setting without its secrets: the token, user and password of an address, the values of a
/// query, and passwords among the parameters of a database.
pub(super) fn redact(name: &str, value: &str) -> String {
    if name == "HATCHET_CLIENT_TOKEN" {
        return format!("[redacted, {} characters]", value.chars().count());
    }
    if let Some(position) = value.to_ascii_lowercase().find("password=") {
        let start = position + "password=".len();
        let end = value[start..].find(['&', ' ']).map_or(value.len(), |length| start + length);
        return redact(name, &format!("{}{REDACTED}{}", &value[..position], &value[end..]));
    }
    // An address may lack its scheme.
    let is_address = ["_URL", "_HOST_PORT", "_PROXY"].iter().any(|end| name.to_ascii_uppercase().ends_with(end));
    let start = match value.find("://") {
        Some(scheme) => scheme + 3,
        None if is_address => 0,
        None => return value.to_owned(),
    };
    let value = match value.rfind('@') {
        Some(end) if start <= end => format!("{}{REDACTED}{}", &value[..start], &value[end..]),
        Some(_) | None => value.to_owned(),
    };
    redact_query(&value)
}

/// Replaces the values of a URL's query, which may include a token.
fn redact_query(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    let redact_pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !value.is_empty() && !value.contains(REDACTED) => format!("{key}={REDACTED}"),
        Some(_) | None => pair.to_owned(),
    };
    format!("{base}?{}", query.split('&').map(redact_pair).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn token_and_userinfo_are_redacted() {
        assert_eq!(redact("HATCHET_CLIENT_TOKEN", "eyabc"), "[redacted, 5 characters]");
        assert_eq!(redact("HATCHET_CLIENT_SERVER_URL", "http://me:pass@host/x"), "http://[redacted]@host/x");
        assert_eq!(redact("HATCHET_CLIENT_SERVER_URL", "http://host/x"), "http://host/x");
        assert_eq!(redact("HATCHET_CLIENT_SERVER_URL", "me:p@ss@host"), "[redacted]@host");
        assert_eq!(redact("HATCHET_EMBEDDED_DIR", "/data/me@work"), "/data/me@work");
        assert_eq!(redact("HTTPS_PROXY", "me:pass@host:1"), "[redacted]@host:1");
    }

    #[test]
    fn query_values_are_redacted() {
        let url = "HATCHET_CLIENT_SERVER_URL";
        assert_eq!(redact(url, "http://host/x?token=t&b=1&c"), "http://host/x?token=[redacted]&b=[redacted]&c");
        assert_eq!(redact(url, "host?token=t"), "host?token=[redacted]");
        assert_eq!(redact(url, "http://host/x?"), "http://host/x?");
    }

    #[test]
    fn database_passwords_are_redacted() {
        let database = "HATCHET_CLIENT_EMBEDDED_DATABASE_URL";
        assert_eq!(redact(database, "host=h Password=p@ss user=u"), "host=h [redacted] user=u");
        assert_eq!(redact(database, "postgres://h/d?password=p&x=1"), "postgres://h/d?[redacted]&x=[redacted]");
    }
}
