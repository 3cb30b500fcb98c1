// Package tap writes the results of a test in the Test Anything Protocol.
//
// It has the functions that the runtime-tools validation suite calls, under the import path that the suite expects.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// T is one TAP document.
type T struct {
	out   io.Writer
	count int
	note  string
}

// New starts a document on standard output.
func New() *T { return &T{out: os.Stdout} }

// Header prints the version, and the plan if the number of points is known.
func (t *T) Header(points int) {
	fmt.Fprintln(t.out, "TAP version 13")
	if points > 0 {
		fmt.Fprintf(t.out, "1..%d\n", points)
	}
}

// AutoPlan prints a plan of as many points as were printed before.
func (t *T) AutoPlan() { fmt.Fprintf(t.out, "1..%d\n", t.count) }

// Ok prints one point.
func (t *T) Ok(good bool, description string) {
	word := "not ok"
	if good {
		word = "ok"
	}
	t.count++
	fmt.Fprintf(t.out, "%s %d %s- %s\n", word, t.count, t.note, description)
}

// Pass prints a good point.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail prints a bad point.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip prints the given number of points as not applicable.
func (t *T) Skip(points int, reason string) {
	for ; points > 0; points-- {
		t.count++
		fmt.Fprintf(t.out, "ok %d # SKIP %s\n", t.count, reason)
	}
}

// Todo returns a view of the document whose next point is expected to fail and does not count.
func (t *T) Todo() *Todo { return &Todo{t} }

// Todo prints points that are expected to fail.
type Todo struct{ t *T }

// Ok prints one such point.
func (d *Todo) Ok(good bool, description string) {
	d.t.note = "# TODO "
	d.t.Ok(good, description)
	d.t.note = ""
}

// Pass prints one such point that passed anyway.
func (d *Todo) Pass(description string) { d.Ok(true, description) }

// Fail prints one such point that failed.
func (d *Todo) Fail(description string) { d.Ok(false, description) }

// Diagnostic prints a comment.
func (t *T) Diagnostic(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintf(t.out, "# %s\n", line)
	}
}

// Diagnosticf prints a formatted comment.
func (t *T) Diagnosticf(format string, args ...interface{}) { t.Diagnostic(fmt.Sprintf(format, args...)) }

// YAML prints details of the point before it, as JSON, which is YAML too.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err == nil {
		fmt.Fprintf(t.out, "  ---\n  %s\n  ...\n", text)
	}
	return err
}
