//! Making a list that fails short.

/// The shortest list found that still fails, by leaving out larger and smaller parts in turn ("delta debugging"), for as long as there is time.
///
/// `fails` says of a list whether it still does. The whole list is taken to fail.
pub fn shrink<Entry: Clone>(
    mut list: Vec<Entry>,
    has_time: impl Fn() -> bool,
    mut fails: impl FnMut(&[Entry]) -> bool,
) -> Vec<Entry> {
    if !list.is_empty() && has_time() && fails(&[]) {
        return Vec::new();
    }
    let mut parts = 2;
    while list.len() > 1 && has_time() {
        let length = list.len().div_ceil(parts);
        let begins = (0..list.len()).step_by(length);
        let mut without = begins.map(|begin| {
            let end = (begin + length).min(list.len());
            [list.get(..begin).unwrap_or_default(), list.get(end..).unwrap_or_default()].concat()
        });
        if let Some(shorter) = without.find(|shorter| has_time() && fails(shorter)) {
            list = shorter;
            parts = parts.saturating_sub(1).max(2);
        } else if length == 1 {
            break;
        } else {
            parts = (parts * 2).min(list.len());
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out() {
        let needed = [3, 77, 78];
        let mut tries = 0;
        let short = shrink(
            (0..100).collect(),
            || true,
            |list| {
                tries += 1;
                needed.iter().all(|number| list.contains(number))
            },
        );
        assert_eq!(short, needed);
        assert!(tries < 100, "{tries}");
    }

    #[test]
    fn what_fails_by_itself_needs_nothing() {
        assert!(shrink(vec![1, 2, 3], || true, |_| true).is_empty());
    }

    #[test]
    fn without_time_nothing_is_tried() {
        assert_eq!(shrink(vec![1, 2, 3], || false, |_| panic!("tried")), [1, 2, 3]);
    }
}
