package plan

import (
	"path/filepath"
	"regexp"
	"strings"
)

// Usable is [All] for whoever has to go on, whatever is wrong in the directory. Beside
// the error of All it returns what can be carried out all the same: the shipped plans,
// and those of the directory that are good by themselves. A shipped plan that starts by
// itself waits for a person when a file that cannot be read seems to replace it: what
// that file says of it is not known.
func Usable(r *Registry, dir string) (Plans, error) {
	plans, wrong := All(r, dir)
	if wrong == nil {
		return plans, nil
	}
	shipped, err := Shipped(r)
	if err != nil || dir == "" {
		return shipped, wrong
	}
	plans = Plans{}
	for name, p := range shipped {
		plans[name] = p
	}
	files, err := readDir(dir, r)
	if err != nil {
		return plans, wrong // nothing is known of what it holds
	}
	// withdraw puts what is shipped in the place of a plan that cannot be used.
	withdraw := func(name string) {
		p, ok := shipped[name]
		if !ok {
			delete(plans, name)
			return
		}
		byHand := *p
		byHand.Start = ByHand
		plans[name] = &byHand
	}
	times := map[string]int{}
	for _, f := range files {
		if f.plan != nil {
			plans[f.plan.Name] = f.plan
			times[f.plan.Name]++
		}
	}
	for _, f := range files {
		if f.plan != nil && times[f.plan.Name] > 1 {
			withdraw(f.plan.Name)
		}
		for _, name := range f.claims() {
			withdraw(name)
		}
	}
	for settled := false; !settled; {
		settled = true
		for _, name := range sorted(plans) {
			if p := plans[name]; p.File != "" && plans.checkFailback(p) != nil {
				withdraw(name)
				settled = false
			}
		}
	}
	return plans, wrong
}

// named finds the name that a file gives its plan, in whatever state the rest is.
var named = regexp.MustCompile(`(?m)^["']?name["']?[ \t]*:[ \t]*["']?([A-Za-z0-9_-]+)`)

// claims are the names of the plan that a file which holds none may have been meant for.
func (f planFile) claims() []string {
	if f.plan != nil {
		return nil
	}
	base := filepath.Base(f.path)
	all := []string{strings.TrimSuffix(base, filepath.Ext(base))}
	for _, m := range named.FindAllSubmatch(f.text, -1) {
		all = append(all, string(m[1]))
	}
	return all
}
