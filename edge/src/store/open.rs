//! Opening a store: what on the disk is whole, and what of it can be served.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;

use domain::tree::{self, Hash};

use super::index::{Candidate, Index, Place};
use super::pointer::POINTER_BYTES_MAX;
use super::warm::Warm;
use super::{Directory, MANIFEST, PACK, Pointer, Store, UNFINISHED, pack};

/// A store and what was found wrong when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// One sentence for each finding, for the log.
    pub findings: Vec<String>,
}

impl Store {
    /// Opens the store of an edge that serves `environment`. It reads every pack once and checks
    /// every chunk, so that nothing damaged is served later. What was read stays in memory until
    /// [`Self::settle`]: who opens a store takes a configuration in it into use next.
    ///
    /// # Errors
    /// When the directory cannot be listed. Damaged files are findings, not errors.
    pub fn open(directory: Box<dyn Directory>, environment: &str) -> io::Result<Opened> {
        let names = directory.list()?;
        let starts = super::starts::read(&*directory).unwrap_or_default();
        let trusted = super::trusted::read(&*directory, &names);
        let mut store = Self {
            directory,
            environment: environment.to_owned(),
            index: Index::default(),
            packs: BTreeMap::new(),
            pointers: BTreeMap::new(),
            next: 0,
            damaged: AtomicBool::new(false),
            warm: Warm::default(),
            starts,
            trusted_is_written: trusted.twice,
            trusted: trusted.set,
        };
        let mut findings = Vec::new();
        for name in trusted.damaged {
            findings.push(format!("{name}, whose signatures to believe, is damaged"));
        }
        if store.trusted.is_none() && !findings.is_empty() {
            findings.push("whose signatures to believe a node is asked anew".to_owned());
        }
        for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            store.remove(name);
        }
        let candidates = store.read_packs(&numbers(&names, PACK), &mut findings);
        store.read_pointers(&numbers(&names, MANIFEST), &candidates, &mut findings);
        Ok(Opened { store, findings })
    }

    fn read_packs(
        &mut self,
        numbers: &[u64],
        findings: &mut Vec<String>,
    ) -> BTreeMap<Hash, Candidate> {
        let mut candidates = BTreeMap::new();
        for &number in numbers {
            self.next = self.next.max(number + 1);
            let name = format!("{PACK}{number:016x}");
            let scanned = pack::scan(&*self.directory, &name, |hash, offset, chunk| {
                let Ok(children) = tree::children(chunk) else {
                    return;
                };
                self.warm.keep(hash, chunk);
                let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                let place = Place {
                    pack: number,
                    offset,
                    length,
                };
                candidates.insert(
                    hash,
                    Candidate {
                        place,
                        children: children.into_boxed_slice(),
                    },
                );
            });
            match scanned {
                Ok(scan) => {
                    self.packs.insert(number, scan.chunk_bytes);
                    if scan.damaged {
                        findings.push(format!("{name} is damaged; what is whole of it is used"));
                    }
                }
                Err(error) => findings.push(format!("{name} cannot be read: {error}")),
            }
        }
        candidates
    }

    fn read_pointers(
        &mut self,
        numbers: &[u64],
        candidates: &BTreeMap<Hash, Candidate>,
        findings: &mut Vec<String>,
    ) {
        for &number in numbers {
            self.next = self.next.max(number + 1);
            let name = format!("{MANIFEST}{number:016x}");
            match self.read_pointer(&name, candidates) {
                Ok(pointer) => {
                    self.index.retain(pointer.manifest.root, candidates);
                    self.pointers.insert(number, pointer);
                }
                Err(why) => {
                    findings.push(format!("{name} is not used: {why}"));
                    self.remove(&name);
                }
            }
        }
        if self.pointers.is_empty() && !numbers.is_empty() {
            findings.push("no configuration on disk can be used; starting without one".to_owned());
        }
    }

    fn read_pointer(
        &self,
        name: &str,
        candidates: &BTreeMap<Hash, Candidate>,
    ) -> Result<Pointer, String> {
        let bytes = self
            .directory
            .read(name, 0, POINTER_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        let pointer = Pointer::decode(&bytes).ok_or("it is damaged")?;
        if pointer.environment != self.environment {
            return Err(format!(
                "it is of environment {}, this edge serves {}",
                pointer.environment, self.environment
            ));
        }
        match self.index.missing(pointer.manifest.root, candidates) {
            Some(missing) => Err(format!(
                "chunk {missing} of manifest {} is damaged or missing",
                pointer.manifest
            )),
            None => Ok(pointer),
        }
    }
}

/// The numbers of the files that begin with `prefix`, in ascending order.
fn numbers(names: &[String], prefix: &str) -> Vec<u64> {
    let numbers = names
        .iter()
        .filter_map(|name| u64::from_str_radix(name.strip_prefix(prefix)?, 16).ok());
    let mut numbers: Vec<u64> = numbers.filter(|number| *number < u64::MAX).collect();
    numbers.sort_unstable();
    numbers
}
