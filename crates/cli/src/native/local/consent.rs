//! Whether a change is to be made that was shown.

use crate::{failure::Failure, printer::Printer, prompt};

/// What was said of that in advance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consent {
    /// Nobody is asked.
    pub(super) yes: bool,
    /// Nothing is changed.
    pub(super) dry_run: bool,
}

impl Consent {
    /// Whether to go ahead: not in a dry run, which is said, and else when somebody says yes or has.
    ///
    /// # Errors
    /// When it is not confirmed, or nobody can be asked.
    pub(super) fn is_given(self, question: &str, printer: &mut Printer) -> Result<bool, Failure> {
        if self.dry_run {
            printer.out("  Nothing has been changed: add --yes.\n");
            return Ok(false);
        }
        if !self.yes && !prompt::confirm(printer, question)? {
            return Err(Failure::new("not confirmed; nothing was changed"));
        }
        Ok(true)
    }
}
