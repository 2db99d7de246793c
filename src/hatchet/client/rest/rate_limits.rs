//! Lists rate limits, with the units that are left in their windows.

use serde::Deserialize;

use super::{
    RestClient,
    list::{Pages, Row},
};
use crate::hatchet::transport::ClientError;

/// A rate limit with its current value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RateLimitState {
    /// The key that tasks refer to.
    pub key: String,
    /// The units of each window.
    pub limit_value: i64,
    /// The units that are left in the current window.
    pub value: i64,
    /// The window, such as `1 MINUTE`.
    pub window: String,
    /// The start of the current window, RFC 3339.
    pub last_refill: String,
}

impl RestClient {
    /// Lists the rate limits.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn rate_limits(&self) -> Result<Vec<RateLimitState>, ClientError> {
        let path = format!("/api/v1/tenants/{}/rate-limits", self.tenant());
        Pages::new(self.clone(), path, Vec::new()).all().await
    }
}

impl Row for RateLimitState {
    fn id(&self) -> &str {
        &self.key
    }
}
