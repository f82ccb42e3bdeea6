//! The metrics of the process, in the Prometheus text exposition format 0.0.4.
//!
//! A [`Registry`] has two kinds of metrics: those that code records through the `metrics` facade, such as the gateway's, and
//! [`Collect`] sources, which are asked when `/metrics` is requested. What every request updates, and what exists elsewhere
//! already, is a source. One [`Encoder`] writes all of them.

mod encoder;
mod latency;
mod process;
mod registry;

pub use encoder::{Encoder, Family, MetricKind, SampleValue};
pub use latency::LatencyHistogram;
pub use process::ProcessMetrics;
pub use registry::{CONTENT_TYPE, Collect, Registry};
