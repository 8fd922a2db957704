// Package terminal is how commands speak to people and to scripts.
//
// The rules, the same for every command:
//
//   - Results go to standard output. Progress, warnings and errors go to
//     standard error, so that a pipe carries results only.
//   - Progress is drawn only where standard error is a terminal. Piped, a
//     command says its result and nothing else.
//   - With JSON nothing but JSON is written to standard output: one document,
//     or one event a line while something runs, each with an "event" field.
//     A failure is the last event, so a script reads one stream.
//   - Quiet leaves out what a person need not know when all is well. Warnings
//     and errors are never left out.
//   - Names from outside (paths, job ids) are escaped before they are printed:
//     a file name cannot move the cursor or forge a line.
//
// Sizes are in binary units (1 MiB = 1,048,576 bytes), times in the reader's
// time zone with the zone's name; JSON carries bytes, seconds and RFC 3339.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

// Options say how to speak. The zero value speaks plain text to the end.
type Options struct {
	// JSON writes documents and events instead of text.
	JSON bool
	// Quiet leaves out progress and what only reassures.
	Quiet bool
	// Verbose adds detail, for instance every file.
	Verbose bool
	// Clock paces progress and computes rates; nil is the machine's clock.
	Clock clock.Clock
}

// Terminal writes for one command. It is safe for concurrent use: a line never
// lands in the middle of another or of the progress display.
type Terminal struct {
	Options

	out, err  io.Writer
	live      bool // standard error is a terminal: progress is drawn there
	screen    bool // standard output is a terminal
	colour    bool // and shows colours
	errColour bool // standard error does
	mu        sync.Mutex
	status    int // how many columns of progress stand on the last line
	columns   func() int
	failed    error // the first write to standard output that failed
}

// New returns a Terminal on the two streams.
func New(out, err io.Writer, o Options) *Terminal {
	o.Clock = clock.Or(o.Clock)
	t := &Terminal{Options: o, out: out, err: err, columns: func() int { return 80 }}
	if f, ok := err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		t.live = true
		t.columns = func() int {
			width, _, sizeErr := term.GetSize(int(f.Fd()))
			if sizeErr != nil || width < 20 {
				return 80
			}
			return width
		}
	}
	wanted := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.screen, t.colour = true, wanted
	}
	t.errColour = t.live && wanted
	return t
}

// Screen reports whether standard output is a terminal.
func (t *Terminal) Screen() bool { return t.screen }

// Printf writes a result for people: one or more lines, a newline is added
// when missing. It writes nothing with JSON.
func (t *Terminal) Printf(format string, args ...any) {
	if !t.JSON {
		t.write(t.out, fmt.Sprintf(format, args...))
	}
}

// Sayf writes what reassures and may be left out: nothing with JSON or Quiet.
func (t *Terminal) Sayf(format string, args ...any) {
	if !t.JSON && !t.Quiet {
		t.write(t.out, fmt.Sprintf(format, args...))
	}
}

// Detailf writes what only Verbose shows.
func (t *Terminal) Detailf(format string, args ...any) {
	if t.Verbose && !t.JSON {
		t.write(t.out, fmt.Sprintf(format, args...))
	}
}

// Warnf writes a sentence that must be seen although the command goes on. With
// JSON it is an event "warning".
func (t *Terminal) Warnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if t.JSON {
		t.Event("warning", struct {
			Message string `json:"message"`
		}{text})
		return
	}
	t.write(t.err, mark(t.errColour, Doubt, "warning:")+" "+text)
}

// Document writes v as one indented JSON document; only with JSON.
func (t *Terminal) Document(v any) {
	if !t.JSON {
		return
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.note(fmt.Errorf("encode the result as JSON: %w", err))
		return
	}
	t.write(t.out, string(text))
}

// Event writes v, which must encode as a JSON object, as one line beginning
// with its event's name; only with JSON.
func (t *Terminal) Event(name string, v any) {
	if !t.JSON {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.note(fmt.Errorf("encode the event %s as JSON: %w", name, err))
		return
	}
	head := fmt.Sprintf(`{"event":%q`, name)
	if string(text) != "{}" {
		head += ","
	}
	t.write(t.out, head+strings.TrimPrefix(string(text), "{"))
}

// Failure tells why a command failed, then what to do next. With JSON it is
// the event "error" with the exit code.
func (t *Terminal) Failure(command string, code int, err error) {
	if t.JSON {
		t.Event("error", struct {
			Code    int      `json:"code"`
			Message string   `json:"message"`
			Hints   []string `json:"hints,omitempty"`
		}{code, err.Error(), fault.Hints(err)})
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", mark(t.errColour, Bad, command+":"), indent(err.Error()))
	for _, hint := range fault.Hints(err) {
		fmt.Fprintf(&b, "  → %s\n", strings.ReplaceAll(hint, "\n", "\n    "))
	}
	t.write(t.err, b.String())
}

// Err returns the first failure to write a result: a full disk behind a
// redirection must not pass for success.
func (t *Terminal) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// Writer returns standard output for bytes that are the result themselves.
func (t *Terminal) Writer() io.Writer { return t.out }

// Live reports whether progress is drawn.
func (t *Terminal) Live() bool { return t.live && !t.JSON && !t.Quiet }

func (t *Terminal) write(w io.Writer, text string) {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wipe()
	if _, err := io.WriteString(w, text); err != nil && w == t.out && t.failed == nil {
		t.failed = fault.New("write the result to", "standard output", err, "")
	}
}

func (t *Terminal) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = err
	}
}

// wipe removes the progress display, if one stands; mu is held.
func (t *Terminal) wipe() {
	if t.status > 0 {
		fmt.Fprint(t.err, "\r\x1b[K")
		t.status = 0
	}
}

// draw replaces the progress display; mu is taken here.
func (t *Terminal) draw(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line = Cut(line, t.columns()-1)
	fmt.Fprint(t.err, "\r"+line+"\x1b[K")
	t.status = len(line)
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// Tone is how a word is meant.
type Tone int

// The tones of a word.
const (
	Plain Tone = iota
	Good
	Doubt
	Bad
	Strong
)

// Mark colours text for Printf by its tone, where standard output is a terminal
// and NO_COLOR is not set. The text alone must already say it all.
func (t *Terminal) Mark(tone Tone, text string) string { return mark(t.colour, tone, text) }

func mark(colour bool, tone Tone, text string) string {
	codes := map[Tone]string{Good: "32", Doubt: "33", Bad: "31;1", Strong: "1"}
	code, ok := codes[tone]
	if !colour || !ok {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
