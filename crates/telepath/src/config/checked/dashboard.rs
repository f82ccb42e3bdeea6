//! `[dashboard]`: the pages for users.

use telepath_dashboard::PublicUrl;

use super::Check;

/// `[dashboard]`.
#[derive(Debug, Clone)]
pub struct DashboardConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// Its address as users type it.
    pub public_url: Option<PublicUrl>,
}

impl Check<'_> {
    pub(super) fn dashboard(&mut self) -> Option<DashboardConfig> {
        let enabled = self.required("dashboard.enabled", |text| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("must be on or off".to_owned()),
        });
        let public_url = self.optional("dashboard.public_url", |text| {
            PublicUrl::parse(text).map_err(|problem| problem.to_string())
        });
        Some(DashboardConfig { enabled: enabled?, public_url: public_url? })
    }
}
