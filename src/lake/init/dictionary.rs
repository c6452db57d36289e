//! The data dictionary: every table and column, for people.

use super::super::schema::{ColumnType, Content, Table, describe};
use super::PARTITION_KEY;

/// All tables in Markdown, as `docs/tables.md` has them.
#[must_use]
pub fn dictionary() -> String {
    Table::ALL.map(of_table).join("\n")
}

fn of_table(table: Table) -> String {
    let mut markdown = format!(
        "<details>\n<summary><code>{}</code>: {}</summary>\n\n| column | type | meaning |\n|---|---|---|\n",
        table.as_str(),
        table.meaning()
    );
    for column in describe(table) {
        let kind = type_name(column.column_type);
        let mark = match column.content {
            Content::Plain => "",
            Content::FreeText => ", free text",
            Content::Personal => ", personal",
        };
        markdown.push_str(&format!("| `{}` | {kind}{mark} | {} |\n", column.name, column.meaning));
    }
    let (key, meaning) = PARTITION_KEY;
    markdown.push_str(&format!("| `{key}` | string | {meaning} |\n\n</details>\n"));
    markdown
}

const fn type_name(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "string",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
    }
}
