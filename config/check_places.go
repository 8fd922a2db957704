package config

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// located is a directory and the setting that names it.
type located struct{ key, path string }

// checkPlaces looks for directories and files that must not lie inside each
// other.
func (l *loader) checkPlaces(c *Config) {
	own := []located{
		{"node.data_dir", c.Node.DataDir},
		{"node.cache_dir", c.Node.CacheDir},
		{"node.staging_dir", c.Node.StagingDir},
		{"nats.store_dir", c.NATS.StoreDir},
	}
	stores := l.storageDirectories(c)
	for _, store := range stores {
		l.checkStorePlace(c, store, own)
	}
	for _, o := range own[1:] {
		if key := c.Backup.Encryption.KeyPath; o.path != "" && key != "" && contains(o.path, key) {
			l.valuef("backup.encryption.key_path", "%s lies inside %s, %s, whose contents may be deleted: keep it elsewhere", key, o.key, o.path)
		}
	}
	for _, name := range c.sourceNames() {
		l.checkSourcePlace(c, name, stores, own)
	}
}

// storageDirectories lists the directories that hold repositories, or parts of
// them, as seen from this machine.
func (l *loader) storageDirectories(c *Config) []located {
	var all []located
	c.eachPlace(func(k kinds) {
		dir, ok := k.place().directory()
		if !ok || k.local.Enabled && k.local.Path == "" {
			return
		}
		key := k.key + ".local.path"
		switch {
		case *k.url != "":
			key = k.key + ".url"
		case k.key == "backup.storage":
			key = l.repositoryKey()
		}
		all = append(all, located{key, dir})
	})
	return all
}

// checkStorePlace refuses a key and working files inside a storage, and a storage
// inside what may be deleted.
func (l *loader) checkStorePlace(c *Config, store located, own []located) {
	if key := c.Backup.Encryption.KeyPath; key != "" && contains(store.path, key) {
		l.valuef("backup.encryption.key_path", "%s lies inside the storage path %s: whoever gets the backups would get the key with them; "+
			"keep it elsewhere, for example /etc/mahavishnu/backup_key", key, store.path)
	}
	for _, o := range own {
		if o.path != "" && (o.path == c.Node.DataDir || !contains(c.Node.DataDir, o.path)) && contains(store.path, o.path) {
			l.valuef(o.key, "%s lies inside the storage path %s, which holds nothing but the repository: choose another directory", o.path, store.path)
		}
	}
	for _, o := range own[1:] {
		if o.path != "" && contains(o.path, store.path) {
			l.valuef(store.key, "%s lies inside %s, %s, whose contents may be deleted: choose another directory", store.path, o.key, o.path)
		}
	}
}

// checkHomes refuses "~", which only a shell makes a home directory: it would
// become a directory of this name, and whose home is meant depends on who runs
// the command. It looks at paths as they were written.
func (l *loader) checkHomes(c *Config) {
	paths := map[string]string{
		"backup.directory": c.Backup.Directory, "backup.encryption.key_path": c.Backup.Encryption.KeyPath, "node.data_dir": c.Node.DataDir,
		"node.cache_dir": c.Node.CacheDir, "node.staging_dir": c.Node.StagingDir, "nats.store_dir": c.NATS.StoreDir,
	}
	c.eachPlace(func(k kinds) {
		paths[k.key+".local.path"] = k.local.Path
		paths[k.key+".s3.ca_file"], paths[k.key+".azure_blob.ca_file"], paths[k.key+".gcs.ca_file"] = k.s3.CAFile, k.azure.CAFile, k.gcs.CAFile
		paths[k.key+".gcs.credentials_file"], paths[k.key+".s3.customer_key_file"] = k.gcs.CredentialsFile, k.s3.CustomerKeyFile
	})
	for name, s := range c.Sources {
		paths["sources."+name+".path"] = s.Path
	}
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		if first, _, _ := strings.Cut(filepath.ToSlash(paths[key]), "/"); strings.HasPrefix(first, "~") {
			l.valuef(key, "%s is a home directory only to a shell: write the whole path", first)
		}
	}
}

// repositoryKey is the setting that names the repository's directory.
func (l *loader) repositoryKey() string {
	if l.given("backup.storage.local.path") {
		return "backup.storage.local.path"
	}
	return "backup.directory"
}

// checkSourcePlace refuses a source that would back up the backups, or this
// node's working files, unless they are excluded.
func (l *loader) checkSourcePlace(c *Config, name string, stores, own []located) {
	s, key := c.Sources[name], "sources."+name
	if s.Path == "" || s.Region != AnyRegion && s.Region != c.Node.Region {
		return // a path of other machines
	}
	for _, store := range stores {
		if contains(store.path, s.Path) {
			l.valuef(key+".path", "%s lies inside the storage path %s: a repository cannot back itself up", s.Path, store.path)
			return
		}
	}
	var missing []string
	for _, p := range slices.Concat(stores, own) {
		rel, left := leftIn(s, p.path)
		if !left {
			continue
		}
		pattern := `"/` + rel + `/"`
		covered := slices.ContainsFunc(missing, func(m string) bool { return strings.HasPrefix(pattern, strings.TrimSuffix(m, `"`)) })
		if !covered {
			missing = append(missing, pattern)
		}
	}
	if len(missing) > 0 {
		l.valuef(key+".path", "%s contains the repository or this node's own files, which would be backed up into themselves: "+
			"give the source exclude: [%s]", s.Path, strings.Join(missing, ", "))
	}
}

// leftIn reports whether a file or directory lies inside a source without being
// excluded for certain, and where in it, with slashes.
func leftIn(s Source, name string) (rel string, left bool) {
	if name == "" || s.Path == "" || name == s.Path || !contains(s.Path, name) {
		return "", false
	}
	rel, err := filepath.Rel(realPath(s.Path), realPath(name))
	if err != nil {
		return "", false
	}
	rel = filepath.ToSlash(rel)
	return rel, !excludes(s.Exclude, rel)
}

// excludes reports whether the patterns leave out the directory rel as a whole,
// by naming it or one above it, anchored, and not taking it back later. Other
// patterns may leave it out too, but only this form is certain.
func excludes(patterns []string, rel string) bool {
	out := false
	for _, p := range patterns {
		back, negated := strings.CutPrefix(p, "!")
		for above := rel; above != "" && above != "."; above = parentOf(above) {
			if !negated && strings.TrimSuffix(p, "/") == "/"+above {
				out = true
			}
			if negated && mayMatch(strings.Trim(back, "/"), above) {
				out = false
			}
		}
	}
	return out
}

// mayMatch reports whether a pattern could mean rel; when in doubt it does.
func mayMatch(pattern, rel string) bool {
	if strings.Contains(pattern, "**") {
		return true
	}
	whole, err := path.Match(pattern, rel)
	base, _ := path.Match(pattern, path.Base(rel))
	return err != nil || whole || base
}

func parentOf(rel string) string {
	i := strings.LastIndexByte(rel, '/')
	if i < 0 {
		return ""
	}
	return rel[:i]
}

// contains reports whether name is dir or lies inside it, links followed as far
// as they exist.
func contains(dir, name string) bool {
	rel, err := filepath.Rel(realPath(dir), realPath(name))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// realPath follows the links of the part of a path that exists.
func realPath(name string) string {
	for existing, rest := name, ""; ; {
		if real, err := filepath.EvalSymlinks(existing); err == nil {
			return filepath.Join(real, rest)
		}
		parent := filepath.Dir(existing)
		if parent == existing {
			return name
		}
		existing, rest = parent, filepath.Join(filepath.Base(existing), rest)
	}
}

// readable refuses a file that is missing or cannot be opened.
func (l *loader) readable(key, name string) {
	f, err := os.Open(name)
	if err != nil {
		l.value(key, plainly(name, err).Error())
		return
	}
	f.Close()
}
