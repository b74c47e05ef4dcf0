//! Plans as files.

use crate::failure::Failure;
use serde_json::{Value, error::Category};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};
use topology::plan::{FORMAT, Plan};

/// More than any plan has: a thousand primaries fit into a few MB.
const LONGEST: u64 = 64 << 20;

/// Writes a plan, as `docs/schema/plan.json` describes it.
pub(crate) fn write(file: &Path, plan: &Plan) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(plan)
        .map_err(|error| Failure::new(format!("the plan cannot be written as JSON: {error}")))?;
    fs::write(file, text + "\n").map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.display())))
}

/// Reads a plan: as it was saved, or as a command with `--json` wrote it.
pub(crate) fn read(file: &Path) -> Result<Plan, Failure> {
    let named = |what: String| Failure::new(format!("{} {what}", file.display()));
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    read.map_err(|error| named(format!("cannot be read: {error}")))?;
    parse(&text).map_err(|failure| Failure { what: format!("{} {}", file.display(), failure.what), ..failure })
}

/// The plan that a text holds; a failure reads well behind the name of the file.
fn parse(text: &str) -> Result<Plan, Failure> {
    let anew = "save it anew: tribune plan COMMAND … --out FILE";
    let value: Value = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Eof => Failure::new(format!("ends in the middle of a plan, at line {}", error.line())).advice(anew),
        _ => Failure::new("is not a plan").because(format!("it is not JSON: {error}")).advice(anew),
    })?;
    let plan = match value {
        Value::Object(mut report) if !report.contains_key("format") => report.remove("plan").unwrap_or_default(),
        value => value,
    };
    match plan.get("format").and_then(Value::as_u64) {
        None => return Err(Failure::new("is not a plan").because("it does not tell the format of one").advice(anew)),
        Some(format) if format != u64::from(FORMAT) => {
            return Err(Failure::new(format!("is a plan of format {format}; this version reads format {FORMAT}"))
                .advice("use the version of tribune that wrote it, or save it anew with this one"));
        }
        Some(_) => {}
    }
    serde_json::from_value(plan)
        .map_err(|error| Failure::new(format!("is not a plan that this version can read: {error}")).advice(anew))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = r#"{"format":1,"goal":"g","based_on":[],"steps":[],"reasons":[],"expected_after":[],
        "cost":{"slots_moved":0,"keys_moved":0,"bytes_moved":0,"seconds":0}}"#;

    #[test]
    fn a_plan_is_read_bare_or_out_of_a_report() {
        assert_eq!(parse(EMPTY).unwrap().goal, "g");
        let report = format!(r#"{{"plan":{EMPTY},"outcome":"planned","seconds":0.1}}"#);
        assert_eq!(parse(&report).unwrap().goal, "g");
    }

    #[test]
    fn what_is_no_plan_gets_one_clear_sentence() {
        let told = |text: &str| parse(text).unwrap_err().what;
        assert_eq!(told("hello"), "is not a plan");
        assert_eq!(told("[]"), "is not a plan");
        assert_eq!(told("{}"), "is not a plan");
        assert_eq!(told(""), "ends in the middle of a plan, at line 1");
        assert_eq!(told(&EMPTY[..80]), "ends in the middle of a plan, at line 1");
        assert_eq!(told(&EMPTY.replace(":1,", ":2,")), "is a plan of format 2; this version reads format 1");
        let unknown = r#""steps":[{"stage":1,"action":"dance","reason":""}]"#;
        let told = told(&EMPTY.replace(r#""steps":[]"#, unknown));
        assert!(told.starts_with("is not a plan that this version can read: unknown variant `dance`"), "{told}");
    }
}
