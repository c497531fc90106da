/** What a bucket holds, as its server tells it. */
export interface StoredObject {
  key: string;
  size: number;
}

/** One that is under way: its parts are no object yet. */
export interface Upload {
  key: string;
  id: string;
}

/** What has come of an upload. */
export interface Part {
  number: number;
  size: number;
  etag: string;
}

/** What the server says of an object without its bytes. */
export interface Head {
  size: number;
  etag: string;
  /** The upload that brought the object. */
  tag: string | undefined;
}
