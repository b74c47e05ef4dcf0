//! Any words: none makes the native grammar stumble, and where an option stands means nothing.

use super::{Words, spread_weights, whole_table};
use clap::{ArgMatches, Command, CommandFactory, error::ErrorKind};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::BTreeMap, sync::LazyLock};

/// Some word that each kind of value takes.
const VALUES: [&str; 8] = ["1", "0.5", "100", "a=1", "1.1.1.1=a", "redis://h", "7000", "abc"];
/// Some arguments that each command takes.
const ARGUMENTS: [&[&str]; 7] = [
    &["h:1"],
    &["h:1", "h:2"],
    &["h:1", "100"],
    &["h:1", "PING"],
    &["h:1", "--shards", "2"],
    &["bash"],
    &["h:1", "--from", "h:2"],
];

fn parse(words: &[String]) -> Result<ArgMatches, ErrorKind> {
    let words = std::iter::once("tribune".to_owned()).chain(spread_weights(words));
    whole_table().try_get_matches_from(words).map_err(|error| error.kind())
}

/// A command with arguments that it takes, and options each with a value.
#[derive(Clone, Debug)]
struct Shape {
    command: String,
    arguments: Vec<String>,
    options: Vec<Vec<String>>,
}

fn shapes() -> Vec<Shape> {
    static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
        let words = Words::command();
        let all = words.get_subcommands().filter(|command| !command.has_subcommands());
        all.filter_map(shape).collect()
    });
    SHAPES.clone()
}

fn shape(command: &Command) -> Option<Shape> {
    let name = command.get_name().to_owned();
    let with = |more: &[String]| [std::slice::from_ref(&name), more].concat();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let arguments = ARGUMENTS.iter().map(|words| owned(words)).find(|words| parse(&with(words)).is_ok())?;
    let mut options = Vec::new();
    for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
        let Some(long) = argument.get_long().map(|long| format!("--{long}")) else { continue };
        if argument.get_action().takes_values() {
            let possible = argument.get_possible_values().into_iter().map(|value| value.get_name().to_owned());
            let given = |value: String| vec![long.clone(), value];
            let taken = |option: &Vec<String>| match parse(&with(&[&option[..], &arguments].concat())) {
                Err(kind) => matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict),
                Ok(_) => true,
            };
            options.extend(possible.chain(owned(&VALUES)).map(given).find(taken));
        } else {
            options.push(vec![long]);
        }
    }
    Some(Shape { command: name, arguments, options })
}

fn any_word() -> impl Strategy<Value = String> {
    let known = shapes().into_iter().flat_map(|shape| shape.options.concat().into_iter().chain([shape.command]));
    prop_oneof![
        4 => select(known.collect::<Vec<_>>()),
        2 => select(&["h:1", "--", "-", "", "-1", "a=1", "local", "--weight", "help", "--json"][..]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "-{1,2}[a-z=-]{0,12}",
    ]
}

/// What was given, by name.
fn meaning(words: &[String]) -> Result<BTreeMap<String, Vec<String>>, ErrorKind> {
    let matches = parse(words)?;
    let Some((name, given)) = matches.subcommand() else { return Ok(BTreeMap::new()) };
    let grammar = Words::command();
    let arguments = grammar.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
    let meaning = arguments.filter_map(|argument| {
        let raw = given.try_get_raw(argument.get_id().as_str()).ok()??;
        Some((argument.get_id().to_string(), raw.map(|value| value.to_string_lossy().into_owned()).collect()))
    });
    Ok(meaning.collect())
}

proptest! {
    #[test]
    fn no_words_make_the_native_grammar_stumble(words in vec(any_word(), 0..10)) {
        let _ = parse(&words);
    }

    #[test]
    fn where_an_option_stands_means_nothing_natively(
        (shape, chosen) in select(shapes()).prop_flat_map(|shape| {
            let options = shape.options.len();
            (Just(shape), vec((0..options.max(1), any::<bool>()), 0..5))
        })
    ) {
        let mut seen = Vec::new();
        let mut options: Vec<(Vec<String>, bool)> = Vec::new();
        for (at, behind) in chosen {
            if let Some(option) = shape.options.get(at).filter(|_| !seen.contains(&at)) {
                seen.push(at);
                options.push((option.clone(), behind));
            }
        }
        let line = |behind: &dyn Fn(bool) -> bool| {
            let placed = |wanted: bool| {
                let there = options.iter().filter(|(_, place)| behind(*place) == wanted);
                there.flat_map(|(words, _)| words.clone()).collect::<Vec<_>>()
            };
            [vec![shape.command.clone()], placed(false), shape.arguments.clone(), placed(true)].concat()
        };
        let wanted = meaning(&line(&|_| false));
        prop_assert_eq!(&meaning(&line(&|_| true)), &wanted);
        prop_assert_eq!(&meaning(&line(&|place| place)), &wanted);
    }

    #[test]
    fn an_option_that_there_is_not_is_refused_natively(
        shape in select(shapes()),
        unknown in "--zz[a-z-]{0,8}",
        behind in any::<bool>(),
    ) {
        let mut words = [vec![shape.command], shape.arguments].concat();
        words.insert(if behind { words.len() } else { 1 }, unknown);
        prop_assert_eq!(parse(&words).err(), Some(ErrorKind::UnknownArgument));
    }

    #[test]
    fn a_command_that_there_is_not_is_refused_natively(command in "zz[a-z-]{0,8}") {
        prop_assert_eq!(parse(&[command]).err(), Some(ErrorKind::InvalidSubcommand));
    }
}

#[test]
fn every_command_has_a_shape() {
    let shapes = shapes();
    let words = Words::command();
    let commands = words.get_subcommands().filter(|command| !command.has_subcommands());
    let missing: Vec<&str> = commands
        .map(Command::get_name)
        .filter(|name| *name != "help" && shapes.iter().all(|shape| shape.command != *name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(shapes.iter().filter(|shape| shape.options.len() > 5).count() > 10, "{shapes:#?}");
}
