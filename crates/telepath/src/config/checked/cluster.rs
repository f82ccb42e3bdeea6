//! `[cluster]`: several servers on one database.

use telepath_store::{OutagePolicy, SharedWindows, WindowOptions};

use super::{Check, values};

/// Settings for several servers on one database.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Where rate limits are counted.
    pub windows: WindowOptions,
    /// The name of this server in log messages; `None` uses a random id.
    pub node_name: Option<String>,
}

impl Check<'_> {
    pub(super) fn cluster(&mut self) -> Option<ClusterConfig> {
        let prefix = self.required("cluster.redis_prefix", values::prefix);
        let outage = self.required("cluster.redis_down", |text| match text {
            "refuse" => Ok(OutagePolicy::Refuse),
            "local" => Ok(OutagePolicy::Local),
            _ => Err("must be refuse or local".to_owned()),
        });
        let node_name = self.optional("cluster.node_name", values::host);
        let windows = match self.secret("cluster.redis_url") {
            None => WindowOptions::Memory,
            Some(_) if self.layers.get("storage.database_url").is_none() => {
                return self.missing(
                    "cluster.redis_url",
                    "requires storage.database_url; SQLite supports only one server",
                );
            }
            Some(url) => WindowOptions::Shared(SharedWindows { url, prefix: prefix?, outage: outage? }),
        };
        Some(ClusterConfig { windows, node_name: node_name? })
    }
}
