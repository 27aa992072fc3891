//! The cookie of a session. Pure.
//!
//! Over HTTPS its name begins with `__Host-`: a browser then takes it only with `Secure`, for `/` and
//! for this very host, so that no other host of the domain can set it.

const SECURE_NAME: &str = "__Host-s3up";
const PLAIN_NAME: &str = "s3up";

fn name(is_https: bool) -> &'static str {
    if is_https { SECURE_NAME } else { PLAIN_NAME }
}

/// Returns the token of the session that the fields `Cookie` of a request carry.
pub fn token<'f>(fields: impl Iterator<Item = &'f str>, is_https: bool) -> Option<&'f str> {
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|it| it.split_once('='));
    let (_, token) = pairs.find(|(found, _)| found.trim() == name(is_https))?;
    Some(token.trim()).filter(|token| !token.is_empty())
}

/// Returns the header that gives a browser its token. Without an age, the cookie ends with the browser.
pub fn set(token: &str, is_https: bool) -> String {
    format!("{}={token}{}", name(is_https), attributes(is_https))
}

/// Returns the header that removes the cookie.
pub fn remove(is_https: bool) -> String {
    format!("{}={}; Max-Age=0", name(is_https), attributes(is_https))
}

fn attributes(is_https: bool) -> &'static str {
    match is_https {
        true => "; Path=/; HttpOnly; SameSite=Strict; Secure",
        false => "; Path=/; HttpOnly; SameSite=Strict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cookie_of_the_scheme_counts() {
        #[rustfmt::skip]
        let cases: [(&[&str], bool, Option<&str>); 8] = [
            // Cookie                             HTTPS   token
            (&[],                                 false, None),
            (&["s3up=abc"],                       false, Some("abc")),
            (&["a=b; s3up=abc;c"],                false, Some("abc")),
            (&["a=b", "s3up=abc"],                false, Some("abc")),
            (&["s3up="],                          false, None),
            (&["xs3up=abc; s3up2=abc"],           false, None),
            // A host of the same domain cannot set the one of HTTPS.
            (&["s3up=abc"],                       true,  None),
            (&["s3up=abc; __Host-s3up=def"],      true,  Some("def")),
        ];
        for (fields, is_https, want) in cases {
            let found = token(fields.iter().copied(), is_https);
            assert_eq!(found, want, "{fields:?} {is_https}");
        }
    }

    #[test]
    fn a_cookie_is_for_this_site_and_no_script() {
        assert_eq!(set("abc", false), "s3up=abc; Path=/; HttpOnly; SameSite=Strict");
        let secure = "__Host-s3up=abc; Path=/; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(set("abc", true), secure);
        assert_eq!(remove(false), "s3up=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }
}
