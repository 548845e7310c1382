//! `backstay man`: the manual's pages, from the same description of the arguments that `--help` shows.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::{Arguments, ManFlags, Output};
use crate::{Exit, print_error, print_result};

/// Why a page is not there.
#[derive(Debug, thiserror::Error)]
enum ManError {
    #[error("cannot make the folder {}: {source}; name one that can be written to", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", page.display())]
    Page { page: PathBuf, source: io::Error },
}

/// Writes a page for each command.
pub fn run(flags: &ManFlags, output: Output) -> Exit {
    let pages = pages();
    if !flags.dry_run
        && let Err(error) = write(&flags.folder, &pages)
    {
        print_error(&error.to_string());
        return Exit::Failed;
    }
    let paths: Vec<String> = pages
        .iter()
        .map(|page| flags.folder.join(page.get_filename()).display().to_string())
        .collect();
    let object = serde_json::json!({ "dry_run": flags.dry_run, "pages": paths });
    print_result(output, &object, || paths.join("\n") + "\n")
}

/// One page for each command that `--help` shows, those below others among them.
fn pages() -> Vec<Man> {
    // A page about `help` in each command would say nothing.
    let mut root = Arguments::command().disable_help_subcommand(true);
    // Gives commands their whole names, from which pages have theirs.
    root.build();
    let mut pages = Vec::new();
    collect(&root, &mut pages);
    pages
}

fn collect(command: &clap::Command, pages: &mut Vec<Man>) {
    // The version stands at the foot of each page, and only the first command has one.
    let source = concat!("backstay ", env!("CARGO_PKG_VERSION"));
    pages.push(Man::new(command.clone()).source(source).manual("Backstay"));
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown.for_each(|below| collect(below, pages));
}

fn write(folder: &Path, pages: &[Man]) -> Result<(), ManError> {
    std::fs::create_dir_all(folder).map_err(|source| ManError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    for page in pages {
        page.generate_to(folder).map_err(|source| ManError::Page {
            page: folder.join(page.get_filename()),
            source,
        })?;
    }
    Ok(())
}
