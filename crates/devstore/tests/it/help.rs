//! The help texts of `s3up-devstore`: those of the golden files, in 80 columns.

use std::path::Path;

use s3up_testkit::golden::assert_help;

#[test]
fn help_is_that_of_the_golden_files_and_fits_80_columns() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help");
    assert_help(env!("CARGO_BIN_EXE_s3up-devstore"), &directory);
}
