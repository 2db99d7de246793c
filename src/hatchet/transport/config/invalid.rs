//! Errors of invalid settings.

use super::super::error::ClientError;

pub(super) fn invalid_setting(name: &str, value: &str, rule: impl std::fmt::Display) -> ClientError {
    ClientError::config(format!("invalid {name} \"{value}\": {rule}"))
}

/// The part of a URL that is not secret: removes a user and password, and redacts a query.
pub(super) fn redacted_url(url: &str) -> String {
    let public = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    public.split_once('?').map_or_else(|| public.to_owned(), |(base, _)| format!("{base}?[redacted]"))
}
