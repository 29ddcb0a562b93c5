package target

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

// pruneAfter is how long an image is left alone after anybody used it: another process may have
// been told its name and be about to start a container, or be building on it.
const pruneAfter = 10 * time.Minute

// leftover is an image with our label, as the daemon lists it.
type leftover struct {
	id   string
	tags []string  // none: a stage of a build, or the beginning of one that failed
	used time.Time // when it was made, named, or last asked for (touch)
	busy bool      // whether a container exists that was started from it
	size int64     // bytes
}

// superfluous returns those of found that nobody needs: neither one of the current names, nor the
// one of the same recipe that was used last (for who switches between two branches), nor one in
// use, nor one used since pruneAfter, nor one that somebody gave another name.
func superfluous(found []leftover, current []string, now time.Time) []leftover {
	newestFirst := slices.SortedFunc(slices.Values(found), func(a, b leftover) int {
		return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.id, b.id))
	})
	kept := make(map[string]bool) // recipes whose previous image was met
	var out []leftover
	for _, l := range newestFirst {
		if slices.ContainsFunc(l.tags, func(t string) bool { return slices.Contains(current, t) }) {
			continue
		}
		if len(l.tags) > 0 {
			name, ours := recipeOf(l.tags)
			if !ours {
				continue
			}
			if !kept[name] {
				kept[name] = true
				continue
			}
		}
		if !l.busy && now.Sub(l.used) >= pruneAfter {
			out = append(out, l)
		}
	}
	return out
}

// recipeOf returns the "postgres" of "squall/postgres:<hash>". An image with another name beside
// it, or instead, is not ours to remove.
func recipeOf(tags []string) (string, bool) {
	if len(tags) != 1 {
		return "", false
	}
	name, found := strings.CutPrefix(tags[0], "squall/")
	name, _, tagged := strings.Cut(name, ":")
	return name, found && tagged && name != ""
}

// prune removes superfluous images. It never fails the set-up, which has succeeded: what could not
// be removed now is looked at again the next time.
//
// Subtle: removing a stage lays bare the one it was made from, down to the base image. With
// PruneChildren the daemon would remove those too, and among them a base image that lost its name
// and is not ours; so stages go one by one, as long as the label is there. A tagged image comes
// from scratch, and all below it is ours.
func (b *imageBuilder) prune(ctx context.Context, images Images) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	current := slices.Collect(maps.Values(images.All()))
	removed, size := 0, int64(0)
	for more := true; more; {
		more = false
		found, err := b.leftovers(ctx)
		if err != nil {
			break
		}
		for _, l := range superfluous(found, current, time.Now()) {
			tagged := len(l.tags) > 0
			ref := l.id
			if tagged {
				ref = l.tags[0]
			}
			_, err := b.docker.ImageRemove(ctx, ref, client.ImageRemoveOptions{PruneChildren: tagged})
			if err != nil {
				continue // in use after all, or gone
			}
			removed, size, more = removed+1, max(size, l.size), more || !tagged
		}
	}
	if removed > 0 {
		text := fmt.Sprintf("removed %d, the largest of %d MB", removed, size/1e6)
		b.report(Step{Name: "old images", Text: text, Done: true})
	}
}

// leftovers lists the images that carry our label and are not the parents of others.
func (b *imageBuilder) leftovers(ctx context.Context) ([]leftover, error) {
	listed, err := b.docker.ImageList(ctx, client.ImageListOptions{
		Filters: make(client.Filters).Add("label", labelImage),
	})
	if err != nil {
		return nil, err
	}
	containers, err := b.docker.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	busy := make(map[string]bool)
	for _, c := range containers.Items {
		busy[c.ImageID] = true
	}
	var found []leftover
	for _, i := range listed.Items {
		if i.Labels[labelImage] == "" {
			continue // a daemon that does not filter
		}
		l := leftover{id: i.ID, tags: namesOf(i), used: time.Unix(i.Created, 0), busy: busy[i.ID], size: i.Size}
		inspected, err := b.docker.ImageInspect(ctx, i.ID)
		if err != nil {
			return nil, err
		}
		if named := inspected.Metadata.LastTagTime; named.After(l.used) {
			l.used = named
		}
		found = append(found, l)
	}
	return found, nil
}

// namesOf returns an image's tags; older daemons list an untagged one as "<none>:<none>".
func namesOf(i image.Summary) []string {
	return slices.DeleteFunc(slices.Clone(i.RepoTags), func(t string) bool { return t == "<none>:<none>" })
}

// touch names the image once more, so that the daemon notes when it was last wanted. Best effort:
// without the note the image counts as used when it was made.
func (b *imageBuilder) touch(ctx context.Context, tag string) {
	_, _ = b.docker.ImageTag(ctx, client.ImageTagOptions{Source: tag, Target: tag})
}
