package storage_test

import (
	"testing"

	"mahavishnu/storage"
)

func TestFar(t *testing.T) {
	for location, want := range map[string]bool{
		"s3://backups/a?region=eu-1": true, "azblob://c": true, "gs://b": true, "disperse:4+2 over s3://a, s3://b": true,
		"file:///srv/backups": false, "/srv/backups": false, "memory": false, "": false, "tape:1": false,
	} {
		if got := storage.Far(location); got != want {
			t.Errorf("Far(%q) = %v", location, got)
		}
	}
}
