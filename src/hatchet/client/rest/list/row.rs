//! Rows and pages of lists.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

/// A row of a list, identified across pages by its id.
pub(in crate::hatchet::client::rest) trait Row: DeserializeOwned {
    fn id(&self) -> &str;
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(in crate::hatchet::client::rest) struct Rows<T> {
    #[serde(default = "Vec::new", deserialize_with = "null_is_default")]
    pub(in crate::hatchet::client::rest) rows: Vec<T>,
    /// The number of pages and the next page; `None` from an engine that ignores `limit` and `offset` and returns all
    /// rows, such as a list of workers from an engine before May 2026.
    #[serde(default)]
    pub(in crate::hatchet::client::rest) pagination: Option<IgnoredAny>,
}

/// The metadata that the REST API adds to each resource.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceMetadata {
    /// A UUID.
    pub id: String,
    /// Creation time, RFC 3339, if the engine reports it.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// Deserializes `null` as the default. A real engine returns `null` for an empty list.
pub(in crate::hatchet::client::rest) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    value: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}
