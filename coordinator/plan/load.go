package plan

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Load reads a plan from YAML and checks it whole against what the registry knows.
// The error joins a [config.Error] for everything that is wrong, with file, line,
// column and the line itself.
func Load(file string, text []byte, r *Registry) (*Plan, error) {
	p := &Plan{File: file}
	doc := config.ReadDocument(file, text, p)
	if doc.Read() {
		c := &checker{doc: doc, p: p, r: r}
		c.plan()
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Plans are plans by name.
type Plans map[string]*Plan

// Get finds a plan, or says which was probably meant.
func (ps Plans) Get(name string) (*Plan, error) {
	if p, ok := ps[name]; ok {
		return p, nil
	}
	hint := "mahavishnu failover plan"
	if near := messages.Nearest(name, sorted(ps)); near != "" {
		hint = fmt.Sprintf("did you mean %q? All of them: %s", near, hint)
	}
	return nil, fault.New("find plan", name, ErrNotFound, hint)
}

// Shipped returns the plans that come with the program.
func Shipped(r *Registry) (Plans, error) {
	files, err := fs.Glob(shipped, "shipped/*.yaml")
	if err != nil {
		return nil, err
	}
	plans := Plans{}
	var errs []error
	for _, file := range files {
		text, err := shipped.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := Load(file, text, r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.File = ""
		if stem := strings.TrimSuffix(path.Base(file), ".yaml"); stem != p.Name {
			errs = append(errs, fmt.Errorf("%s holds plan %s", file, p.Name))
		}
		plans[p.Name] = p
	}
	return plans, errors.Join(append(errs, plans.check())...)
}

// LoadDir reads every .yaml and .yml file of a directory.
func LoadDir(dir string, r *Registry) (Plans, error) {
	files, err := readDir(dir, r)
	if err != nil {
		return nil, err
	}
	plans := Plans{}
	var errs []error
	for _, f := range files {
		switch p := f.plan; {
		case f.err != nil:
			errs = append(errs, f.err)
		case plans[p.Name] != nil:
			errs = append(errs, fmt.Errorf("%s: plan %s is in %s already: rename one", f.path, p.Name, plans[p.Name].File))
		default:
			plans[p.Name] = p
		}
	}
	return plans, errors.Join(errs...)
}

// planFile is a file of a directory with plans.
type planFile struct {
	path string
	text []byte
	plan *Plan // nil when it holds none
	err  error // why
}

// readDir reads the files of a directory that should hold plans, each by itself.
func readDir(dir string, r *Registry) ([]planFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.New("read plans", dir, err, "make the directory that failover.plans of the configuration names, or leave that empty")
	}
	var files []planFile
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); entry.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		f := planFile{path: filepath.Join(dir, entry.Name())}
		if f.text, err = readFile(f.path); err != nil {
			f.err = fault.New("read plan", f.path, err, "")
		} else {
			f.plan, f.err = Load(f.path, f.text, r)
		}
		files = append(files, f)
	}
	return files, nil
}

// readFile reads a file that is one: a pipe would be waited for for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	}
	return os.ReadFile(path)
}

// ShippedText is the file of a shipped plan, to make one's own of.
func ShippedText(name string) ([]byte, error) {
	text, err := shipped.ReadFile("shipped/" + name + ".yaml")
	if err != nil {
		return nil, fault.New("find shipped plan", name, err, "mahavishnu failover plan lists them")
	}
	return text, nil
}

// All returns the shipped plans and those of a directory, "" for none, which
// replace shipped ones of the same name.
func All(r *Registry, dir string) (Plans, error) {
	plans, err := Shipped(r)
	if err != nil || dir == "" {
		return plans, err
	}
	own, err := LoadDir(dir, r)
	if err != nil {
		return nil, err
	}
	for name, p := range own {
		plans[name] = p
	}
	return plans, plans.check()
}

// check refuses plans whose failback is missing, is no failback, takes other
// parameters, or leads in a circle.
func (ps Plans) check() error {
	var errs []error
	for _, name := range sorted(ps) {
		errs = append(errs, ps.checkFailback(ps[name]))
	}
	return errors.Join(errs...)
}

// checkFailback is check for one plan.
func (ps Plans) checkFailback(p *Plan) error {
	if p.Failback == "" {
		return nil
	}
	where := p.Name
	if p.File != "" {
		where = p.File
	}
	back, ok := ps[p.Failback]
	if !ok {
		text := fmt.Sprintf("%s: failback: there is no plan %q", where, p.Failback)
		if near := messages.Nearest(p.Failback, sorted(ps)); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return errors.New(text)
	}
	if way := ps.circle(p); way != "" {
		return fmt.Errorf("%s: failback: leads in a circle: %s", where, way)
	}
	var errs []error
	if !back.Returns {
		errs = append(errs, fmt.Errorf("%s: failback: plan %s is no failback; write \"returns: true\" into it if it is", where, back.Name))
	}
	for _, parameter := range sorted(back.Parameters) {
		own, ok := p.Parameters[parameter]
		if back.Parameters[parameter].Default == "" && (!ok || own.Type != back.Parameters[parameter].Type) {
			errs = append(errs, fmt.Errorf("%s: failback: plan %s wants parameter %s (%s), which %s has not", where, back.Name, parameter, back.Parameters[parameter].Type, p.Name))
		}
	}
	return errors.Join(errs...)
}

// circle follows failbacks and returns the way when it comes back to the plan.
func (ps Plans) circle(p *Plan) string {
	way := []string{p.Name}
	for next := ps[p.Failback]; next != nil; next = ps[next.Failback] {
		met := slices.Contains(way, next.Name)
		way = append(way, next.Name)
		if met {
			return strings.Join(way, " -> ")
		}
	}
	return ""
}
