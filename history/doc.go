// Package history records what clients of Roomlog did and saw, and checks it against the
// invariants.
//
// A test client writes one [Line] per operation through a [Recorder]. After the run the rooms are
// replayed as `final` lines, and [Check] judges all files together: it knows no server, only what was
// asked, answered and delivered. [Verdict.Table] prints the judgement; [Run] is `roomlog verify`.
//
// An invariant that a history never put to the test is "not exercised", which is not a pass: name
// the invariants that a test is about in [Verdict.OK]. The format is in README.md beside this file.
package history
