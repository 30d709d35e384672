import { accessSync, constants, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { toGfsError } from '../../core/errors.js';
import { problem } from '../problem.js';
import { parseYaml, yamlError, type YamlDocument, type YamlPath } from './yaml-document.js';

/** Files are a few lines; whoever names a disk image by mistake is told at once. */
const FILE_BYTES_MAX = 1024 * 1024;

/**
 * The YAML of a configuration file.
 * @throws GfsError CONFIG when it cannot be read or is no YAML; ENOENT, EACCES
 */
export function readConfigFile(file: string): YamlDocument {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    const { code } = toGfsError(thrown);
    const what = code === 'ENOENT' ? 'there is no such file' : 'the file cannot be read';
    throw problem(code, what, file, 'examples are in the folder examples/', thrown);
  }
  if (text.length > FILE_BYTES_MAX) {
    throw problem('CONFIG', 'not a configuration file: it is too long', file, 'see the folder examples/');
  }
  return parseYaml(text, file);
}

/** Paths in a file are relative to that file, so that a folder of files can be moved. */
export const folderOf = (file: string): string => dirname(resolve(file));

/**
 * That this process can read the files that a configuration names.
 * @param named for each file: where the configuration names it
 * @throws GfsError CONFIG with the place of each that cannot be read
 */
export function checkReadable(document: YamlDocument, named: readonly (readonly [YamlPath, string])[]): void {
  const problems = named.flatMap(([path, file]) => {
    try {
      accessSync(file, constants.R_OK);
      return [];
    } catch (thrown) {
      const missing = toGfsError(thrown).code === 'ENOENT';
      const text = missing ? `there is no file ${file}` : `the file ${file} cannot be read`;
      return [document.problemAt(path, `${text}; paths are relative to this configuration file`)];
    }
  });
  if (problems.length > 0) throw yamlError(problems);
}
