//! Any words: none makes the grammars stumble, and where an option stands means nothing.

use super::{
    grammar::{self, Request},
    misuse::Misuse,
    options::{self, Takes},
    subcommands, trib,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// `-h` without a host asks for help; the other two are told before all else.
const APART: [&str; 5] = ["-h", "--help", "-v", "--version", "--cluster"];

fn option_names() -> Vec<&'static str> {
    options::names().filter(|name| !APART.contains(name)).collect()
}

fn any_word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(option_names()).prop_map(str::to_owned),
        3 => select(subcommands::names().collect::<Vec<_>>()).prop_map(str::to_owned),
        2 => select(&["--from", "--slave", "--yes", "--weight", "--verbose"][..]).prop_map(str::to_owned),
        2 => select(&["--cluster", "-h", "-v", "a=1", "127.0.0.1:1", "::1", "", "-", "--", "-1"][..]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "-{1,2}[a-z=-]{0,12}",
    ]
}

fn argument() -> impl Strategy<Value = String> {
    "[a-z0-9.:]{1,8}"
}

/// An option with what it takes, and whether it stands in front of `--cluster`, in front of the arguments or behind them.
fn placed() -> impl Strategy<Value = (Vec<String>, u8)> {
    (select(option_names()), argument(), 0..3_u8).prop_map(|(name, value, place)| {
        let mut words = vec![name.to_owned()];
        match options::find(name).unwrap().1 {
            Takes::Nothing => {}
            Takes::Value => words.push(value),
            Takes::Pairs => words.extend([format!("{value}=1"), "b=2".to_owned()]),
        }
        (words, place)
    })
}

fn options_of_a_line() -> impl Strategy<Value = Vec<(Vec<String>, u8)>> {
    vec(placed(), 0..6).prop_map(|mut options| {
        // What is given last counts, so each is given once, under one of its names.
        let mut seen = Vec::new();
        options.retain(|(words, _)| {
            let kept = options::find(&words[0]).map(|(kept, _)| kept);
            let new = !seen.contains(&kept);
            seen.push(kept);
            new
        });
        options
    })
}

fn line(command: &str, arguments: &[String], options: &[(Vec<String>, u8)], at: impl Fn(u8) -> u8) -> Vec<String> {
    let placed = |wanted: u8| {
        options
            .iter()
            .filter(|(_, place)| at(*place) == wanted)
            .flat_map(|(words, _)| words.clone())
            .collect::<Vec<_>>()
    };
    let mut words = placed(0);
    words.extend(["--cluster".to_owned(), command.to_owned()]);
    words.extend(placed(1));
    words.extend_from_slice(arguments);
    words.extend(placed(2));
    words
}

proptest! {
    #[test]
    fn no_words_make_the_grammars_stumble(words in vec(any_word(), 0..12)) {
        for outcome in [grammar::parse(&words), trib::parse(&words)] {
            match outcome {
                Ok(Request::Run(invocation)) => {
                    if let Some((name, arguments)) = &invocation.command {
                        let _ = subcommands::find(name, arguments.len());
                    }
                }
                Ok(_) => {}
                Err(misuse) => prop_assert!(misuse.text().ends_with('\n'), "{misuse:?}"),
            }
        }
    }

    #[test]
    fn where_an_option_stands_means_nothing(
        command in select(subcommands::names().collect::<Vec<_>>()),
        arguments in vec(argument(), 1..4),
        options in options_of_a_line(),
    ) {
        let wanted = grammar::parse(&line(command, &arguments, &options, |_| 0));
        for place in [|place| place, |_| 1, |_| 2] {
            prop_assert_eq!(&grammar::parse(&line(command, &arguments, &options, place)), &wanted);
        }
    }

    #[test]
    fn an_option_that_there_is_not_is_refused_by_name(
        command in select(subcommands::names().collect::<Vec<_>>()),
        arguments in vec(argument(), 1..4),
        options in options_of_a_line(),
        unknown in "-{1,2}zz[a-z-]{0,8}",
        place in 0..3_u8,
    ) {
        let mut options = options;
        let excluded = options.iter().filter(|(words, _)| ["-c", "-s", "-2", "-3", "-x", "-X", "-4", "-6"].contains(&words[0].as_str()));
        prop_assume!(excluded.count() == 0);
        options.push((vec![unknown.clone()], place));
        let parsed = grammar::parse(&line(command, &arguments, &options, |place| place));
        prop_assert_eq!(parsed, Err(Misuse::BadOption(unknown)));
    }

    #[test]
    fn a_command_that_there_is_not_is_refused(command in "[a-z-]{1,10}", arguments in vec(argument(), 0..4)) {
        prop_assume!(subcommands::names().all(|name| name != command));
        prop_assert_eq!(subcommands::find(&command, arguments.len()).err(), Some(Misuse::UnknownCommand));
        let words: Vec<String> = std::iter::once(command.clone()).chain(arguments).collect();
        let refused = Misuse::OfTrib(format!("Unknown redis-trib subcommand '{command}'\n"));
        let asks = ["-h", "-v", "--help", "--version"].contains(&command.as_str());
        prop_assert!(asks || trib::parse(&words) == Err(refused));
    }

    #[test]
    fn the_order_of_options_means_nothing_to_redis_trib(
        values in vec(argument(), 6),
        order in Just(vec![0, 1, 2, 3, 4, 5]).prop_shuffle(),
    ) {
        let option = |at: usize| match at {
            0 => vec!["--yes".to_owned()],
            1 => vec!["--from".to_owned(), values[1].clone()],
            2 => vec!["--to".to_owned(), values[2].clone()],
            3 => vec!["--slots".to_owned(), values[3].clone()],
            4 => vec!["--verbose".to_owned()],
            _ => vec!["--tls".to_owned()],
        };
        let line = |order: &[usize]| -> Vec<String> {
            let options = order.iter().copied().flat_map(option);
            ["reshard".to_owned()].into_iter().chain(options).chain(["h:1".to_owned()]).collect()
        };
        let parsed = trib::parse(&line(&order));
        prop_assert!(matches!(parsed, Ok(Request::Run(_))));
        prop_assert_eq!(parsed, trib::parse(&line(&[0, 1, 2, 3, 4, 5])));
    }
}
