package snapshot

import (
	"fmt"
	"strings"

	"mahavishnu/snapshot/exclude"
)

// selection is which entries of a snapshot are asked for.
type selection struct {
	include, exclude *exclude.Matcher
	// roots are the literal beginnings of the include patterns, when all of
	// them are anchored: only directories on the way there need be read.
	roots []string
}

func newSelection(include, excluded []string) (*selection, error) {
	s := &selection{}
	var err error
	if s.include, err = exclude.New(include); err != nil {
		return nil, fmt.Errorf("include: %w", err)
	}
	if s.exclude, err = exclude.New(excluded); err != nil {
		return nil, err
	}
	for _, p := range include {
		root, ok := literalRoot(p)
		if !ok {
			s.roots = nil
			break
		}
		s.roots = append(s.roots, root)
	}
	return s, nil
}

// literalRoot is the part of an anchored pattern before its first component
// with a special character. It is not ok for patterns that may match anywhere.
func literalRoot(p string) (root string, ok bool) {
	trimmed := strings.TrimSuffix(p, "/")
	if p == "" || strings.ContainsAny(p[:1], "!#") || !strings.Contains(trimmed, "/") {
		return "", false
	}
	var parts []string
	for part := range strings.SplitSeq(strings.TrimPrefix(trimmed, "/"), "/") {
		if strings.ContainsAny(part, `*?[\ `) {
			break
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "/"), true
}

// all reports whether everything is asked for that is not excluded.
func (s *selection) all() bool { return s.include.Empty() }

// excluded reports whether an entry is left out, and with it what is below it.
func (s *selection) excluded(path string, dir bool) bool { return s.exclude.Match(path, dir) }

// included reports whether an entry is asked for by name.
func (s *selection) included(path string, dir bool) bool { return s.include.Match(path, dir) }

// leadsTo reports whether something below a directory may be asked for.
func (s *selection) leadsTo(dir string) bool {
	if s.roots == nil {
		return true
	}
	for _, root := range s.roots {
		if root == "" || root == dir || strings.HasPrefix(root, dir+"/") || strings.HasPrefix(dir, root+"/") {
			return true
		}
	}
	return false
}
