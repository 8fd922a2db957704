// Package mahavishnu_test guards the repository itself: what every package,
// file and dependency must be like, beyond what the linter can say.
package mahavishnu_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// longestFile is how many lines a file may have before it holds more than one
// idea; tests may list more cases.
const longestFile = 450

// skipped are directories that hold no source of the project.
var skipped = []string{".git", "bin", "dist", "tmp", "testdata", "node_modules"}

// sources calls fn for every file of the repository whose name ends in one of
// the suffixes.
func sources(t *testing.T, fn func(path string, text []byte), suffixes ...string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains(skipped, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(path, s) }) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fn(filepath.ToSlash(path), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPackageHasOneDocComment(t *testing.T) {
	documented := map[string][]string{} // directory: the files whose package clause is documented
	files := token.NewFileSet()
	sources(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		if _, ok := documented[dir]; !ok {
			documented[dir] = nil
		}
		parsed, err := parser.ParseFile(files, path, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		if parsed.Doc == nil {
			return
		}
		documented[dir] = append(documented[dir], path)
		checkPackageDoc(t, path, parsed)
	}, ".go")
	for dir, docs := range documented {
		switch len(docs) {
		case 0:
			t.Errorf("%s: no file has a package comment; say what the package is, its rules and units", dir)
		case 1:
		default:
			t.Errorf("%s: %d files have a package comment (%s); keep one", dir, len(docs), strings.Join(docs, ", "))
		}
	}
}

func checkPackageDoc(t *testing.T, path string, parsed *ast.File) {
	t.Helper()
	doc := strings.TrimSpace(parsed.Doc.Text())
	want := "Package " + parsed.Name.Name + " "
	if parsed.Name.Name == "main" {
		want = "Command "
	}
	if !strings.HasPrefix(doc, want) {
		t.Errorf("%s: the package comment must begin with %q", path, want)
	}
	if len(strings.Fields(doc)) < 12 {
		t.Errorf("%s: the package comment is the package's manual; %q says too little", path, doc)
	}
}

func TestPackageNamesSayWhatTheyHold(t *testing.T) {
	vague := regexp.MustCompile(`^package (util|utils|common|helper|helpers|manager|base|misc|shared|types)\b`)
	sources(t, func(path string, text []byte) {
		for line := range bytes.Lines(text) {
			if vague.Match(line) {
				t.Errorf("%s: %q says nothing of what is inside", path, bytes.TrimSpace(line))
			}
		}
	}, ".go")
}

func TestFilesCanBeReadInOneSitting(t *testing.T) {
	sources(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		if lines := bytes.Count(text, []byte{'\n'}); lines > longestFile {
			t.Errorf("%s has %d lines, more than %d; it holds more than one idea", path, lines, longestFile)
		}
	}, ".go")
}

func TestEveryPackageIsTested(t *testing.T) {
	tested := map[string]bool{} // by its own tests, or by another package's
	var packages []string
	files := token.NewFileSet()
	sources(t, func(path string, text []byte) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if !strings.HasSuffix(path, "_test.go") {
			packages = append(packages, dir)
			return
		}
		tested[dir] = true
		parsed, err := parser.ParseFile(files, path, text, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		for _, imported := range parsed.Imports {
			tested[strings.TrimPrefix(strings.Trim(imported.Path.Value, `"`), "mahavishnu/")] = true
		}
	}, ".go")
	slices.Sort(packages)
	for _, dir := range slices.Compact(packages) {
		if !tested[dir] {
			t.Errorf("%s has no test file, and no test of another package imports it", dir)
		}
	}
}

func TestNothingIsLeftUndoneOrTiedToOneMachine(t *testing.T) {
	// The patterns are split so that this file does not match itself.
	forbidden := map[string]*regexp.Regexp{
		"a mark of work left undone":     regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|HA` + `CK|XX` + `X)\b`),
		"an excuse instead of the thing": regexp.MustCompile(`(?i)not ` + `implemented\b|lorem ` + `ipsum`),
		"a path of one machine":          regexp.MustCompile(`(^|[\s"'(=])/(wo` + `rk|ro` + `ot|Us` + `ers|ho` + `me/[a-z]+)/[A-Za-z.]`),
		"a number of a tracker":          regexp.MustCompile(`(?i)\bissue ` + `#?[0-9]+`),
	}
	sources(t, func(path string, text []byte) {
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for number := 1; lines.Scan(); number++ {
			for what, pattern := range forbidden {
				if found := pattern.Find(lines.Bytes()); found != nil && !allowedWord(path, string(found)) {
					t.Errorf("%s:%d holds %s: %q", path, number, what, found)
				}
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}, ".go", ".md", ".yml", ".yaml", ".sh", "Makefile", ".ci/run")
}

// allowedWord tells the few places that must name what is forbidden elsewhere.
func allowedWord(path, _ string) bool {
	return path == ".golangci.yml" // it tells the linter which marks to refuse
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	sources(t, func(path string, text []byte) {
		for _, match := range link.FindAllSubmatch(text, -1) {
			target := string(match[1])
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			}
		}
	}, ".md")
}

// permissive licences let the project be shipped under Apache-2.0.
var permissive = []string{
	"Apache License", "MIT License", "The MIT License", "Permission is hereby granted, free of charge",
	"Redistribution and use in source and binary forms", "ISC License", "Permission to use, copy, modify, and/or distribute",
	"Mozilla Public License", "CC0 1.0 Universal", "This is free and unencumbered software",
}

func TestLicences(t *testing.T) {
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(own, []byte("Apache License")) || !bytes.Contains(own, []byte("Version 2.0")) {
		t.Error("LICENSE is not Apache-2.0")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Module", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	type module struct{ Path, Dir string }
	linked := map[string]module{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var pkg struct{ Module *module }
		if err := decoder.Decode(&pkg); err != nil {
			t.Fatal(err)
		}
		if pkg.Module != nil && pkg.Module.Path != "mahavishnu" {
			linked[pkg.Module.Path] = *pkg.Module
		}
	}
	for path, m := range linked {
		if !isPermissive(t, m.Dir) {
			t.Errorf("%s is linked into the product, but no permissive licence was found in %s", path, m.Dir)
		}
	}
}

var isLicence = regexp.MustCompile(`^(LICEN|COPYING|UNLICENSE)`)

func isPermissive(t *testing.T, dir string) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		if entry.IsDir() || !isLicence.MatchString(name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range permissive {
			if bytes.Contains(text, []byte(words)) {
				return true
			}
		}
	}
	return false
}
