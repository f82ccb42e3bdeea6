//! The JSON API: one file per resource, the auth pipeline, error mapping, OpenAPI.
