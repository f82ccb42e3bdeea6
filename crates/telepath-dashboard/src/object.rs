//! The pages about objects, by the prefix of their ids.

/// What an object is called, and its page.
const PAGES: [(&str, &str, &str); 7] = [
    ("call_", "Call", "/calls"),
    ("conn_", "Connection", "/connections"),
    ("key_", "Key", "/settings/api-keys"),
    ("whk_", "Webhook", "/settings/webhooks"),
    ("dlv_", "Delivery", "/settings/webhooks/deliveries"),
    ("alr_", "Alert", "/alerts"),
    ("req_", "Request", "/requests"),
];

/// What the object with an id is, and the path of its page. `None` for a text that is no id, and for objects without a page.
pub(crate) fn page_of(id: &str) -> Option<(&'static str, String)> {
    let (_, what, page) = PAGES.iter().find(|(prefix, _, _)| id.starts_with(prefix))?;
    let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_id.then(|| (*what, format!("{page}/{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_to_pages_and_other_texts_do_not() {
        assert_eq!(page_of("call_01kb7x4d2q"), Some(("Call", "/calls/call_01kb7x4d2q".to_owned())));
        for other in ["", "acct_01kb7x4d2q", "key_\"><b>", "call_/../x", "a"] {
            assert_eq!(page_of(other), None, "{other}");
        }
    }
}
