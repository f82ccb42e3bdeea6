//! A strict reader of the Prometheus text exposition format, and the test that the metrics of a server follow it. It refuses
//! what `promtool check metrics` refuses, and more. Tests only.

use std::collections::{BTreeMap, BTreeSet};

/// A metric with its samples.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) help: String,
    pub(super) kind: String,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// Parses a whole text.
///
/// # Errors
/// Says what is wrong, with the line.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let body = text.strip_suffix('\n').ok_or("the last line does not end")?;
    for line in body.split('\n') {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
            if help.trim().is_empty() || families.contains_key(name) {
                return Err(wrong("empty help, or the metric appears twice"));
            }
            name.clone_into(&mut current);
            families.insert(current.clone(), Family { help: help.to_owned(), ..Family::default() });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            let family = families.get_mut(name).filter(|family| name == current && family.kind.is_empty());
            let family = family.ok_or_else(|| wrong("TYPE does not follow HELP"))?;
            if !["counter", "gauge", "histogram"].contains(&kind) || !is_name(name) {
                return Err(wrong("unknown type or invalid name"));
            }
            kind.clone_into(&mut family.kind);
        } else {
            let sample = parse_sample(line).ok_or_else(|| wrong("not a sample"))?;
            let family = families.get_mut(&current).filter(|family| !family.kind.is_empty());
            let family = family.ok_or_else(|| wrong("a sample before its TYPE"))?;
            if !belongs(&sample, &current, &family.kind) {
                return Err(wrong("a sample of another metric"));
            }
            if family.samples.iter().any(|other| other.name == sample.name && other.labels == sample.labels) {
                return Err(wrong("the series appears twice"));
            }
            family.samples.push(sample);
        }
    }
    for (name, family) in &families {
        check(name, family).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(families)
}

fn belongs(sample: &Sample, family: &str, kind: &str) -> bool {
    if kind == "histogram" {
        let suffix = sample.name.strip_prefix(family).unwrap_or_default();
        let has_bound = sample.labels.contains_key("le");
        (suffix == "_bucket" && has_bound) || (["_sum", "_count"].contains(&suffix) && !has_bound)
    } else {
        sample.name == family && !sample.labels.contains_key("le")
    }
}

fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(legal) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn parse_sample(line: &str) -> Option<Sample> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = value.strip_prefix(' ')?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        _ if value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => {
            value.parse().ok()?
        }
        _ => return None,
    };
    is_name(name).then(|| Sample { name: name.to_owned(), labels, value })
}

/// The labels up to the closing brace, and what follows it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                }),
                (_, other) => value.push(other),
            }
        };
        if !is_name(name) || labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = &quoted[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        rest = rest.strip_prefix(',')?;
    }
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.samples.is_empty() {
        return Err("no series".to_owned());
    }
    let is_counter = family.kind == "counter";
    if is_counter != name.ends_with("_total") {
        return Err("counters, and only counters, end in _total".to_owned());
    }
    if is_counter && family.samples.iter().any(|sample| sample.value.is_nan() || sample.value < 0.0) {
        return Err("a counter is negative".to_owned());
    }
    if family.kind == "histogram" { check_histogram(name, family) } else { Ok(()) }
}

fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let without_bound = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        labels
    };
    let series: Vec<_> = family.samples.iter().map(without_bound).collect();
    for labels in
        series.iter().enumerate().filter(|(at, one)| !series[..*at].contains(one)).map(|(_, one)| one)
    {
        let of = |suffix: &str| {
            let name = format!("{name}{suffix}");
            let mine = family.samples.iter().filter(move |sample| sample.name == name);
            mine.filter(|sample| without_bound(sample) == *labels).collect::<Vec<_>>()
        };
        let bound = |sample: &&Sample| match sample.labels["le"].as_str() {
            "+Inf" => f64::INFINITY,
            text => text.parse().unwrap_or(f64::NAN),
        };
        let buckets = of("_bucket");
        let grows = buckets.is_sorted_by(|one, next| bound(one) < bound(next) && one.value <= next.value);
        let total = buckets.last().filter(|last| bound(last).is_infinite()).map(|last| last.value);
        let counts: Vec<f64> = of("_count").iter().map(|sample| sample.value).collect();
        if !grows || of("_sum").len() != 1 || counts.len() != 1 || total != counts.first().copied() {
            return Err(format!("the histogram {labels:?} is not cumulative and complete"));
        }
    }
    Ok(())
}

/// The label names of a metric, without those that its type implies.
pub(super) fn label_names(family: &Family) -> BTreeSet<&str> {
    let names = family.samples.iter().flat_map(|sample| sample.labels.keys());
    names.map(String::as_str).filter(|name| *name != "le").collect()
}

#[test]
fn the_reader_accepts_the_format_and_refuses_what_breaks_it() {
    let counter = "# HELP a_total A.\n# TYPE a_total counter\n";
    let histogram = "# HELP h H.\n# TYPE h histogram\n";
    let good = format!(
        "{counter}a_total{{x=\"q\\\"\\\\\\n\"}} 1\na_total 2e3\n{histogram}\
         h_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\nh_sum 3.5\nh_count 2\n"
    );
    let families = parse(&good).unwrap();
    assert_eq!(families["a_total"].samples[0].labels["x"], "q\"\\\n");
    for bad in [
        "a_total 1\n".to_owned(),
        format!("{counter}a_total 1"),
        format!("{counter}b_total 1\n"),
        format!("{counter}a_total one\n"),
        format!("{counter}a_total -1\n"),
        format!("{counter}a_total 1\na_total 1\n"),
        format!("{counter}a_total{{x=\"1\",x=\"2\"}} 1\n"),
        format!("{counter}a_total{{x=\"\\t\"}} 1\n"),
        format!("{counter}a_total{{}} 1\n"),
        counter.to_owned(),
        format!("{counter}a_total 1\n{counter}a_total 1\n"),
        "# HELP a A.\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n".to_owned(),
        "# HELP a \n# TYPE a gauge\na 1\n".to_owned(),
        format!("{histogram}h_bucket{{le=\"1\"}} 3\nh_bucket{{le=\"+Inf\"}} 2\nh_sum 3\nh_count 2\n"),
        format!("{histogram}h_bucket{{le=\"1\"}} 1\nh_sum 3\nh_count 1\n"),
        format!("{histogram}h_bucket{{le=\"+Inf\"}} 2\nh_sum 3\nh_count 3\n"),
        format!("{histogram}h_bucket{{le=\"+Inf\"}} 2\nh_count 2\n"),
        format!("{histogram}h 2\n"),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}
