package repository

import "slices"

// IndexPacks returns which packs each part of the index names: names of objects by that of
// the part. Parts that others stand for are left out.
func (r *Repository) IndexPacks() map[string][]string {
	all := map[string][]string{}
	for _, f := range r.index.fragments() {
		if f.name == "" {
			continue
		}
		packs := make([]string, 0, f.Packs())
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			packs = append(packs, p.ID.Object())
		}
		all[f.name] = packs
	}
	return all
}

// HasIndexOf tells whether every part of the index that a snapshot relies on is here, or
// another one that stands for it: without that a check names the loss of one.
func (r *Repository) HasIndexOf(s Snapshot) bool {
	here := map[string]bool{}
	for _, f := range r.index.fragments() {
		here[f.name] = true
	}
	return !slices.ContainsFunc(s.Index, func(name string) bool { return !here[name] && !r.index.standsIn(name) })
}
