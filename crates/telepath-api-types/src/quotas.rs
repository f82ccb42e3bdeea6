//! Quotas of API keys.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use telepath_core::key::QuotasPatchDraft;
use telepath_core::limit::quota;
use telepath_core::patch::Patch;

/// Requests per calendar day and month in UTC; null for any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"per_day": 100_000, "per_month": null})))]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Requests per day, which begins at 00:00 UTC.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub per_day: Option<u32>,
    /// Requests per month, which begins on its first day at 00:00 UTC.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub per_month: Option<u32>,
}

/// A request to change quotas. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"per_day": 100_000})))]
#[serde(deny_unknown_fields)]
pub struct UpdateQuotas {
    /// Requests per day; null removes the quota.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub per_day: Patch<u32>,
    /// Requests per month; null removes the quota.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub per_month: Patch<u32>,
}

impl From<quota::Quotas> for Quotas {
    fn from(quotas: quota::Quotas) -> Self {
        Self {
            per_day: quotas.per_day.map(NonZeroU32::get),
            per_month: quotas.per_month.map(NonZeroU32::get),
        }
    }
}

impl From<Quotas> for quota::QuotasDraft {
    fn from(Quotas { per_day, per_month }: Quotas) -> Self {
        Self { per_day, per_month }
    }
}

impl From<UpdateQuotas> for QuotasPatchDraft {
    fn from(UpdateQuotas { per_day, per_month }: UpdateQuotas) -> Self {
        Self { per_day, per_month }
    }
}
