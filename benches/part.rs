//! The parts of the table; each can be measured alone.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::table::Table;
use crate::{Effort, calls, cluster, flood, pages, proxies, requests, scale, sip_flood, stages, webhooks};

/// A part, named as on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Stages,
    Codecs,
    Flood,
    Requests,
    Proxies,
    Scale,
    Pages,
    Calls,
    SipFlood,
    Cluster,
    Webhooks,
}

impl Part {
    /// In the order of the table.
    pub(crate) const ALL: [Part; 11] = [
        Part::Stages,
        Part::Codecs,
        Part::Flood,
        Part::Requests,
        Part::Proxies,
        Part::Scale,
        Part::Pages,
        Part::Calls,
        Part::SipFlood,
        Part::Cluster,
        Part::Webhooks,
    ];

    const fn name(self) -> &'static str {
        match self {
            Part::Stages => "stages",
            Part::Codecs => "codecs",
            Part::Flood => "flood",
            Part::Requests => "requests",
            Part::Proxies => "proxies",
            Part::Scale => "scale",
            Part::Pages => "pages",
            Part::Calls => "calls",
            Part::SipFlood => "sip-flood",
            Part::Cluster => "cluster",
            Part::Webhooks => "webhooks",
        }
    }

    /// Parses names separated by commas.
    pub(crate) fn parse_list(text: &str) -> anyhow::Result<Vec<Part>> {
        let known = || Part::ALL.map(Part::name).join(", ");
        let parse = |name: &str| {
            let part = Part::ALL.into_iter().find(|part| part.name() == name);
            part.with_context(|| format!("there is no part {name:?}; there are {}", known()))
        };
        text.split(',').map(parse).collect()
    }

    /// Adds its rows to the table.
    pub(crate) async fn measure(
        self,
        table: &mut Table,
        effort: Effort,
        scratch: &Path,
    ) -> anyhow::Result<()> {
        match self {
            Part::Stages => stages::measure(table),
            Part::Codecs => stages::measure_codecs(table),
            Part::Flood => flood::measure(table),
            Part::Requests => requests::measure(table, effort, scratch).await,
            Part::Proxies => proxies::measure(table, effort, scratch).await,
            Part::Scale => scale::measure(table, effort, scratch).await,
            Part::Pages => pages::measure(table, effort, scratch).await,
            Part::Calls => calls::measure(table, effort, scratch).await,
            Part::SipFlood => sip_flood::measure(table, effort, scratch).await,
            Part::Cluster => cluster::measure(table, effort, scratch).await,
            Part::Webhooks => webhooks::measure(table, effort, scratch).await,
        }
    }
}

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) effort: Effort,
    pub(crate) parts: Vec<Part>,
    /// Whether a missed goal is a failure.
    pub(crate) check: bool,
}

impl Plan {
    /// `[--quick] [--check] [--only PART[,PART]]`, in any order.
    pub(crate) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut plan = Self { effort: Effort::Full, parts: Part::ALL.to_vec(), check: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => plan.effort = Effort::Quick,
                "--check" => plan.check = true,
                "--only" => plan.parts = Part::parse_list(words.next().context(USAGE)?)?,
                other => bail!("unknown argument {other}; {USAGE}"),
            }
        }
        Ok(plan)
    }
}

const USAGE: &str = "usage: telepath-bench [--quick] [--check] [--only PART[,PART]]";
