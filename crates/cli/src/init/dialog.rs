//! Asks for what no argument says.

use std::io::{self, BufRead, IsTerminal, Write};

use console::Term;

use crate::Secret;

/// Number of empty answers to one question before the dialog gives up.
const EMPTY_ANSWERS_MAX: usize = 3;

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The argument that answers it.
    pub argument: &'a str,
    pub text: &'a str,
    /// The answer of an empty line.
    pub default: Option<&'a str>,
}

/// A dialog on a terminal, or none.
pub struct Dialog<R, W> {
    /// `None` without a terminal.
    terminal: Option<(R, W)>,
}

#[derive(Debug, thiserror::Error)]
pub enum DialogError {
    #[error(
        "{argument}: expected a value, found none; pass {argument}, or run init on a terminal, where it \
         asks"
    )]
    NoAnswer { argument: String },
    #[error("{argument}: read the answer")]
    Read { argument: String, source: io::Error },
}

impl Dialog<io::StdinLock<'static>, io::Stderr> {
    /// Returns a dialog if a person is at the terminal. It asks on standard error.
    pub fn on_terminal() -> Dialog<io::StdinLock<'static>, io::Stderr> {
        let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        Dialog { terminal: is_terminal.then(|| (io::stdin().lock(), io::stderr())) }
    }
}

impl<R: BufRead, W: Write> Dialog<R, W> {
    /// Returns what was given, or else the answer, or else the default.
    pub fn text(
        &mut self,
        question: Question<'_>,
        given: Option<String>,
    ) -> Result<String, DialogError> {
        if let Some(given) = given {
            return Ok(given);
        }
        let default = question.default.map(str::to_owned);
        let Some((input, output)) = &mut self.terminal else {
            return default.ok_or_else(|| no_answer(question));
        };
        for _ in 0..EMPTY_ANSWERS_MAX {
            let answer = ask(question, input, output).map_err(|source| DialogError::Read {
                argument: question.argument.to_owned(),
                source,
            })?;
            match answer {
                None => return Err(no_answer(question)),
                Some(answer) if answer.is_empty() => {}
                answer => return answer.ok_or_else(|| no_answer(question)),
            }
            if let Some(default) = default {
                return Ok(default);
            }
        }
        Err(no_answer(question))
    }

    /// Returns what was given, or else the answer; `None` for an empty line, and without a terminal. The
    /// text of the question says what an empty line means.
    pub fn optional(
        &mut self,
        question: Question<'_>,
        given: Option<String>,
    ) -> Result<Option<String>, DialogError> {
        let answer = self.text(Question { default: Some(""), ..question }, given)?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }

    /// Asks for a secret, which the terminal does not show.
    pub fn secret(&mut self, question: Question<'_>) -> Result<Secret, DialogError> {
        let Some((_, output)) = &mut self.terminal else { return Err(no_answer(question)) };
        let read = |source| DialogError::Read { argument: question.argument.to_owned(), source };
        write!(output, "{}: ", question.text).and_then(|()| output.flush()).map_err(read)?;
        let secret = Term::stderr().read_secure_line().map_err(read)?;
        match secret.trim() {
            "" => Err(no_answer(question)),
            secret => Ok(Secret::new(secret.to_owned())),
        }
    }
}

/// Returns one line without the spaces around it; `None` at the end of the input.
fn ask(
    question: Question<'_>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<Option<String>> {
    match question.default {
        None | Some("") => write!(output, "{}: ", question.text)?,
        Some(default) => write!(output, "{} [{default}]: ", question.text)?,
    }
    output.flush()?;
    let mut line = String::new();
    let count = input.read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim().to_owned()))
}

fn no_answer(question: Question<'_>) -> DialogError {
    DialogError::NoAnswer { argument: question.argument.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Question<'_> = Question { argument: "--bucket", text: "Bucket", default: None };
    const REGION: Question<'_> =
        Question { argument: "--region", text: "Region", default: Some("us-east-1") };

    type Answers = (Result<String, String>, Result<String, String>, Result<Option<String>, String>);

    /// Asks three questions, and returns the answers with what the terminal shows.
    fn on(input: &str) -> (Answers, String) {
        let mut output = Vec::new();
        let mut dialog = Dialog { terminal: Some((input.as_bytes(), &mut output)) };
        let text = |err: DialogError| err.to_string();
        let answers = (
            dialog.text(BUCKET, None).map_err(text),
            dialog.text(REGION, None).map_err(text),
            dialog.optional(REGION, None).map_err(text),
        );
        (answers, String::from_utf8(output).unwrap())
    }

    #[test]
    fn an_empty_line_means_the_default() {
        let (answers, shown) = on("\n backups \n\n\n");

        assert_eq!(answers, (Ok("backups".to_owned()), Ok("us-east-1".to_owned()), Ok(None)));
        assert_eq!(shown, "Bucket: Bucket: Region [us-east-1]: Region: ");
    }

    #[test]
    fn a_question_without_an_answer_names_its_argument() {
        for input in ["", "\n\n\n"] {
            let ((bucket, ..), _) = on(input);
            assert!(bucket.unwrap_err().starts_with("--bucket: expected a value"), "{input:?}");
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_asked() {
        let mut dialog: Dialog<&[u8], Vec<u8>> = Dialog { terminal: None };

        assert!(dialog.text(BUCKET, None).unwrap_err().to_string().contains("--bucket"));
        assert_eq!(dialog.text(BUCKET, Some("given".to_owned())).unwrap(), "given");
        assert_eq!(dialog.text(REGION, None).unwrap(), "us-east-1");
        assert_eq!(dialog.optional(BUCKET, None).unwrap(), None);
        assert!(dialog.secret(BUCKET).is_err());
    }
}
