/** Takes in a URL until it is killed; prints each checkpoint as a line of JSON. */
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { Receiver } from './receiver.ts';

const [url = '', ...stores] = process.argv.slice(2);
const receiver = new Receiver(stores.map((store) => localBackupStorage(JSON.parse(store))));
await receiver.take(url, {
  checkpointPolicy: { bytes: 1024 * 1024, milliseconds: 50 },
  onCheckpoint: async (checkpoint) => console.log(JSON.stringify(checkpoint)),
});
