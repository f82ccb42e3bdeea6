//! Bind values, and their conversion for each driver.

use std::net::IpAddr;

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use telepath_core::clock::Timestamp;

use crate::error::StoreError;

/// A value to bind. An absent value still has a type, which PostgreSQL requires.
#[derive(Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! from_value {
    ($($type:ty, |$value:ident| $made:expr;)+) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )+};
}

from_value! {
    i64, |value| Value::Integer(Some(value));
    u32, |value| Value::Integer(Some(value.into()));
    Option<u32>, |value| Value::Integer(value.map(i64::from));
    Option<i64>, |value| Value::Integer(value);
    Timestamp, |value| Value::Integer(Some(value.unix_ms()));
    Option<Timestamp>, |value| Value::Integer(value.map(Timestamp::unix_ms));
    &str, |value| Value::Text(Some(value.to_owned()));
    Option<&str>, |value| Value::Text(value.map(str::to_owned));
    String, |value| Value::Text(Some(value));
    Option<String>, |value| Value::Text(value);
    &[u8], |value| Value::Bytes(Some(value.to_vec()));
    Option<Vec<u8>>, |value| Value::Bytes(value);
    Option<IpAddr>, |value| Value::Text(value.map(|address| address.to_string()));
}

/// The bind values of a statement, in the order of their placeholders.
macro_rules! binds {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use binds;

/// `$first, …` for a list of `count` binds.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for place in first..first + count {
        if place > first {
            text.push_str(", ");
        }
        text.push('$');
        text.push_str(&place.to_string());
    }
    text
}

pub(super) fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

pub(super) fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
