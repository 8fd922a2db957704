package exclude

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// git is a repository whose work tree has the given entries; a slash at the end
// makes a directory.
type git struct {
	dir     string
	entries []string
}

func newGit(t testing.TB, entries ...string) *git {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed, and it is the reference for these rules")
	}
	g := &git{dir: t.TempDir(), entries: entries}
	for _, e := range entries {
		path := filepath.Join(g.dir, e)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(e, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	g.run(t, nil, "init", "-q")
	return g
}

func (g *git) run(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME="+g.dir)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && args[0] == "check-ignore" {
		err = nil // nothing is ignored
	}
	if err != nil {
		t.Fatalf("git %v: %v %s", args, err, stderr.Bytes())
	}
	return out
}

// excluded asks git which entries the patterns exclude.
func (g *git) excluded(t testing.TB, patterns []string) []string {
	t.Helper()
	text := strings.Join(patterns, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(g.dir, ".gitignore"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var stdin []byte
	for _, e := range g.entries {
		// Git looks on disk whether it is a directory; a slash would take
		// part in the matching.
		stdin = append(append(stdin, strings.TrimSuffix(e, "/")...), 0)
	}
	out := g.run(t, stdin, "check-ignore", "--no-index", "--verbose", "--non-matching", "--stdin", "-z")
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var list []string
	for f := range slices.Chunk(fields, 4) { // source, line, pattern, path
		if f[2] != "" && f[2][0] != '!' {
			list = append(list, f[3])
		}
	}
	return list
}

func (g *git) compare(t testing.TB, patterns []string) {
	t.Helper()
	m, err := New(patterns)
	if err != nil {
		t.Fatalf("patterns %q: %v", patterns, err)
	}
	var got []string
	for _, e := range g.entries {
		if m.MatchPath(strings.TrimSuffix(e, "/"), strings.HasSuffix(e, "/")) {
			got = append(got, strings.TrimSuffix(e, "/"))
		}
	}
	want := g.excluded(t, patterns)
	if !slices.Equal(got, want) {
		t.Errorf("patterns %q:\n got %q\nwant %q", patterns, got, want)
	}
}

func TestAsGitDoes(t *testing.T) {
	g := newGit(t, "a.o", "a.c", "foo", "bar", "build/", "build/out", "build/keep/", "build/keep/me", "sub/", "sub/build",
		"sub/a.o", "sub/foo/", "sub/foo/bar", "sub/x/", "sub/x/foo/", "sub/x/foo/bar", "#hash", "!bang", "space ", "tail\\",
		"[x]", "x", "b*r", "logs/", "logs/debug.log", "logs/2024/", "logs/2024/debug.log", "a/", "a/b/", "a/b/c/", "a/b/c/d",
		"a/x/", "a/x/b", "über", "日本", "dir-", "-", "]", "^", "a1", "aB", "tmp/", "tmp/f", "doc/", "doc/frotz/", "doc/frotz/f",
		".hidden", "sub/.hidden")
	for _, patterns := range [][]string{
		{},
		{""},
		{"# comment"},
		{"*.o"},
		{"/*.o"},
		{"foo"},
		{"/foo"},
		{"foo/"},
		{"sub/foo"},
		{"sub/foo/"},
		{"foo/bar"},
		{"**/foo"},
		{"**/foo/bar"},
		{"foo/**"},
		{"sub/**"},
		{"/**"},
		{"**"},
		{"*"},
		{"/*"},
		{"*", "!*/", "!*.o"},
		{"a/**/b"},
		{"a/**"},
		{"a/**/d"},
		{"a**d"},
		{"a/**d"},
		{"**d"},
		{"build", "!build/keep"},
		{"build/*", "!build/keep"},
		{"build/*", "!build/keep/", "build/keep/me"},
		{"\\#hash"},
		{"#hash"},
		{"\\!bang"},
		{"!bang"},
		{"space "},
		{"space\\ "},
		{"space\\  "},
		{"tail\\\\"},
		{"\\[x\\]"},
		{"[x]"},
		{"[!x]"},
		{"[^x]"},
		{"[]]"},
		{"[]x]"},
		{"[!]x]"},
		{"[a-c]*"},
		{"[]-]"},
		{"[-x]"},
		{"[x-]"},
		{"[\\]]"},
		{"a[[:digit:]]"},
		{"a[[:upper:]]"},
		{"a[[:alnum:]]"},
		{"[[:punct:]]"},
		{"[[:x]"},
		{"[[:]"},
		{"b\\*r"},
		{"b*r"},
		{"b?r"},
		{"?"},
		{"????"},
		{"über"},
		{"??ber"},
		{"?ber"},
		{"[日]*"},
		{"日*"},
		{"logs/**/debug.log"},
		{"logs/*/debug.log"},
		{"logs/debug.log"},
		{"*/debug.log"},
		{"**/debug.log"},
		{"/"},
		{"//"},
		{"!"},
		{"!/"},
		{"a/"},
		{"a//"},
		{"/a/"},
		{"/a/b/"},
		{"a/b"},
		{"b/c"},
		{"**/b/c"},
		{"*/b"},
		{"*/*/"},
		{"a/*"},
		{"a/*/"},
		{"a/*/c"},
		{"***/foo"},
		{"a/***/d"},
		{"a/**b"},
		{"a**/d"},
		{"**/"},
		{"**/**"},
		{"*/**"},
		{"**/*"},
		{"/**/foo"},
		{"foo**"},
		{".*"},
		{"!.hidden", ".hidden"},
		{".hidden", "!.hidden"},
		{".hidden", "!/sub/.hidden"},
		{"doc/frotz"},
		{"/doc/frotz/"},
		{"frotz/"},
		{"doc/*", "!doc/frotz", "doc/frotz/*"},
		{"a/**\\/d"},
		{"\\a/b"},
		{"x", "x/", "!x"},
		{"*a*b*"},
		{"[a-]*"},
		{"foo\t"},
		{" foo"},
		{"sub/[f]oo"},
		{"sub[/]foo"},
		{"sub?foo"},
		{"[!/]*"},
		{"a/[!b]"},
		{"*[!a-z]"},
	} {
		g.compare(t, patterns)
	}
}

func TestAsGitDoesAtRandom(t *testing.T) {
	var entries []string
	for _, a := range []string{"a", "b", "ab", "a-b", "[a]", "c*"} {
		entries = append(entries, a+"/")
		for _, b := range []string{"a", "b", "ba", "aab", "x.o"} {
			entries = append(entries, a+"/"+b+"/", a+"/"+b+"/a", a+"/"+b+"/b/", a+"/"+b+"/b/ab", a+"/"+b+"/bb")
		}
	}
	g := newGit(t, entries...)
	tokens := []string{
		"a", "b", "ab", "*", "**", "?", "/", "/", "/**/", "**/", "/**", "[ab]", "[!a]", "[a-b]", "\\a", "\\*",
		"[[:alpha:]]", "x.o", ".", "-", "!", " ", "[]a]",
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		patterns := make([]string, 1+r.IntN(4))
		for i := range patterns {
			for range 1 + r.IntN(6) {
				patterns[i] += tokens[r.IntN(len(tokens))]
			}
			if r.IntN(4) == 0 {
				patterns[i] = "!" + patterns[i]
			}
		}
		g.compare(t, patterns)
	}
}

func TestWhatCannotMatchIsRefused(t *testing.T) {
	_, err := New([]string{"good", "[a", "tail\\", "[[:what:]]", "[[:alpha:]", "[\\", "[a-\\", "zero\x00", "# [a"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`2 "[a"`, `3 "tail\\"`, `4 "[[:what:]]"`, `5 "[[:alpha:]"`, `6 "[\\"`, `7 "[a-\\"`, `8 "zero\x00"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("pattern %s is not named in:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 7 {
		t.Errorf("%d lines, want 7:\n%v", n, err)
	}
}

func TestParse(t *testing.T) {
	m, err := Parse("\ufeff*.o\r\n\r\n# c\n!keep.o")
	if err != nil {
		t.Fatal(err)
	}
	if !m.Match("x.o", false) || m.Match("d/keep.o", false) || m.Match("x.c", false) {
		t.Error("wrong matches")
	}
	var none *Matcher
	if none.Match("x", false) || !none.Empty() || m.Empty() {
		t.Error("a nil matcher excludes something, or Empty is wrong")
	}
}

func TestManyStarsEndSoon(t *testing.T) {
	m, err := New([]string{strings.Repeat("a*", 40) + "b", strings.Repeat("**/a*/", 12) + "b"})
	if err != nil {
		t.Fatal(err)
	}
	if m.Match(strings.Repeat("a", 250), false) || m.Match(strings.Repeat("a/", 60)+"c", false) {
		t.Error("matched")
	}
}

func TestIsCacheTag(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "Signature": false, cacheSignature: true, cacheSignature + "\n# made by x\n": true,
		strings.ToLower(cacheSignature): false,
	} {
		if got, err := IsCacheTag(strings.NewReader(text)); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := IsCacheTag(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/**/b", "a/x/b", true)
	f.Add("[!a-c]*\\[", "d[", false)
	f.Fuzz(func(_ *testing.T, line, path string, dir bool) {
		if len(line) > 60 || len(path) > 200 {
			return
		}
		m, err := New([]string{line})
		if err == nil {
			m.MatchPath(path, dir)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	m, err := New([]string{"*.o", "node_modules/", "/build", "**/testdata/*.golden", "*~", "!keep.o", ".git/", "*.py[co]"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Match("src/internal/server/handler_registry_test.go", false)
	}
}
