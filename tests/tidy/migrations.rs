//! Both databases have the same migrations: numbers, names, tables and columns.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::root;

/// The files of one database, in order.
fn migrations(database: &str) -> Vec<(String, String)> {
    let folder = root().join("migrations").join(database);
    let mut files: Vec<(String, String)> = fs::read_dir(&folder)
        .unwrap_or_else(|problem| panic!("{}: {problem}", folder.display()))
        .flatten()
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("a migration is text");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect();
    files.sort();
    files
}

/// The columns of every table after all migrations.
fn schema(files: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, text) in files {
        for statement in statements(text) {
            if let Some((table, columns)) = created_table(&statement) {
                tables.insert(table, columns);
            } else if let Some((table, column)) = added_column(&statement) {
                tables.entry(table).or_default().insert(column);
            } else if let Some((table, column)) = dropped_column(&statement) {
                assert!(tables.entry(table).or_default().remove(&column), "{statement}");
            } else if let Some((old, new)) = renamed_table(&statement) {
                let columns = tables.remove(&old).unwrap_or_default();
                tables.insert(new, columns);
            } else if let Some(table) = dropped_table(&statement) {
                tables.remove(&table);
            }
        }
    }
    tables
}

/// The statements of a script without comments, each on one line.
fn statements(text: &str) -> Vec<String> {
    let code: String = text.lines().filter_map(|line| line.split("--").next()).collect::<Vec<_>>().join(" ");
    code.split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|statement| !statement.is_empty())
        .collect()
}

/// The first words of table constraints.
const CONSTRAINTS: [&str; 6] = ["primary", "foreign", "unique", "check", "constraint", "exclude"];

fn created_table(statement: &str) -> Option<(String, BTreeSet<String>)> {
    let rest = statement.to_ascii_lowercase();
    let rest = rest.strip_prefix("create table ")?;
    let rest = rest.strip_prefix("if not exists ").unwrap_or(rest);
    let (name, rest) = rest.split_once('(')?;
    let body = rest.get(..rest.rfind(')')?)?;
    let columns = split_at_commas(body)
        .iter()
        .filter_map(|part| part.split_whitespace().next())
        .map(|word| word.trim_matches('"').split('(').next().unwrap_or_default().to_owned())
        .filter(|word| !CONSTRAINTS.contains(&word.as_str()))
        .collect();
    Some((name.trim().trim_matches('"').to_owned(), columns))
}

fn added_column(statement: &str) -> Option<(String, String)> {
    let rest = statement.to_ascii_lowercase();
    let rest = rest.strip_prefix("alter table ")?;
    let (table, rest) = rest.split_once(" add column ")?;
    Some((table.trim_matches('"').to_owned(), rest.split(' ').next()?.trim_matches('"').to_owned()))
}

fn dropped_column(statement: &str) -> Option<(String, String)> {
    let rest = statement.to_ascii_lowercase();
    let (table, column) = rest.strip_prefix("alter table ")?.split_once(" drop column ")?;
    Some((table.trim_matches('"').to_owned(), column.split(' ').next()?.trim_matches('"').to_owned()))
}

fn renamed_table(statement: &str) -> Option<(String, String)> {
    let rest = statement.to_ascii_lowercase();
    let (old, new) = rest.strip_prefix("alter table ")?.split_once(" rename to ")?;
    Some((old.trim_matches('"').to_owned(), new.trim_matches('"').to_owned()))
}

fn dropped_table(statement: &str) -> Option<String> {
    let rest = statement.to_ascii_lowercase();
    Some(rest.strip_prefix("drop table ")?.trim_matches('"').to_owned())
}

/// Splits at commas outside parentheses.
fn split_at_commas(body: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for letter in body.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

#[test]
fn both_databases_have_the_same_migrations_without_a_gap() {
    let names = |database| migrations(database).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names("postgres"));
    for (at, name) in sqlite.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name}");
    }
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let sqlite = schema(&migrations("sqlite"));
    for table in ["accounts", "users", "keys", "trunks", "calls"] {
        assert!(
            sqlite.keys().any(|name| name.ends_with(table)),
            "no table for {table} among {:?}",
            sqlite.keys()
        );
    }
    assert_eq!(sqlite, schema(&migrations("postgres")));
}

#[test]
fn every_table_of_sqlite_is_strict() {
    for (file, text) in migrations("sqlite") {
        for statement in statements(&text) {
            if let Some((table, _)) = created_table(&statement) {
                let options = statement.rsplit(')').next().unwrap_or_default().to_ascii_lowercase();
                assert!(options.contains("strict"), "{file}: {table}");
            }
        }
    }
}

#[test]
fn the_schema_parser_sees_tables_columns_and_additions() {
    let text = "-- a comment; with a semicolon\ncreate table things (\n id INTEGER PRIMARY KEY, -- why\n \
                amount NUMERIC(10, 2) CHECK (amount > 0),\n PRIMARY KEY (id, amount)\n) STRICT;\n\
                alter table things add column colour TEXT;\n\
                alter table things add column size TEXT; alter table things drop column size;\n\
                create table old (a INTEGER); alter table old rename to older; drop table older;";
    let found = schema(&[("0001_a.sql".to_owned(), text.to_owned())]);
    assert_eq!(found.len(), 1, "a table that was renamed and dropped is gone");
    let wanted = ["id", "amount", "colour"].map(str::to_owned);
    assert_eq!(found["things"], BTreeSet::from(wanted));
}
