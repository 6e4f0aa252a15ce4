// The set `legal-definitions`: what a legal term means, in one plain sentence. Written by hand in general terms.
// Not here: the law of any one country; nothing here is legal advice.

import { article, capitalise, row, seeded } from './seeded.mjs';

// term | the rest of the sentence after "A <term> is"; a term that takes no article begins with a dot.
const TERMS = `
contract | an agreement between two or more people that the law will enforce.
offer | a promise to do something if the other side agrees.
.acceptance | saying yes to an offer just as it stands.
breach | what happens when one side does not keep an agreement.
.damages | money paid to a person to make up for a loss.
lease | an agreement to use a house or land for a time, for money.
tenant | a person who pays to live in a place that another person owns.
landlord | a person who owns a place and lets another person live there for money.
.rent | money paid for the use of a house, a room or land.
deposit | money given at the start and kept until all duties are done.
deed | a signed paper that gives land or a house to a new owner.
will | a paper that says who gets a person's things after death.
heir | a person who gets the things of someone who has died.
witness | a person who saw something and tells the court about it.
judge | the person who leads the court and decides what the law says.
jury | a group of people who hear a case and decide what is true.
verdict | the answer of the jury at the end of a case.
sentence | the punishment that a judge gives to a guilty person.
fine | money that a person must pay as a punishment.
crime | an act that the law forbids and punishes.
.theft | taking a thing that belongs to another person and keeping it.
.robbery | taking a thing from a person by force or fear.
.burglary | going into a building without leave in order to steal.
.fraud | telling a lie in order to get money or things.
.murder | killing a person on purpose and against the law.
.manslaughter | killing a person without a plan to kill.
.assault | making a person fear that they will be hurt.
.bail | money or a promise that lets a person go home before the trial.
arrest | the act of taking a person who may have broken the law.
warrant | a paper from a judge that lets the police act.
trial | the meeting in court where both sides are heard.
appeal | a request to a higher court to look at a case again.
court | the place where a judge hears cases.
lawyer | a person who knows the law and speaks for others in court.
client | a person who pays a lawyer for help.
plaintiff | the person who brings a case to court.
defendant | the person who is blamed in a case.
lawsuit | a case that one person brings against another in court.
claim | a demand for something that a person says is theirs by right.
.evidence | anything that helps the court to find out what is true.
.proof | enough evidence to show that something is true.
oath | a solemn promise to tell the truth.
.perjury | telling a lie in court after a promise to tell the truth.
alibi | proof that a person was in another place at the time.
confession | a statement in which a person says that they did it.
motive | the reason why a person did something.
suspect | a person who may have done a crime.
victim | a person who was hurt by a crime.
guardian | a person who takes care of a child by law.
minor | a person who is too young to act alone in law.
adult | a person who is old enough to act alone in law.
.marriage | the bond of two people, as the law sees it.
.divorce | the end of a marriage by law.
.custody | the right and duty to care for a child.
.adoption | the act of making a child a member of a new family by law.
.alimony | money paid to a husband or wife after a marriage ends.
debt | money that a person owes to another.
debtor | a person who owes money.
creditor | a person to whom money is owed.
loan | money that is given now and must be paid back later.
.interest | the price paid for using the money of another person.
mortgage | a loan for a house, with the house as the promise.
pledge | a thing given to show that a debt will be paid.
guarantee | a promise to pay or to mend if something goes wrong.
guarantor | a person who promises to pay if another does not.
.bankruptcy | the state of a person who cannot pay what they owe.
tax | money that people must pay to the state.
licence | a paper that lets a person do something.
permit | a paper that says a thing may be done.
patent | a right to be the only one who makes a new thing.
.copyright | the right of a writer or artist over their own work.
trademark | a name or sign that only one business may use.
brand | the name by which people know the goods of a business.
partnership | a business that two or more people own together.
company | a business that the law treats like a person.
share | a small part of a company that a person can own.
director | a person who leads a company.
employer | a person or company that pays others to work.
employee | a person who works for another for pay.
wage | money paid for work.
strike | the act of workers who stop work to get a better deal.
union | a group of workers who stand together.
.notice | telling a person ahead of time that something will end.
.negligence | not taking the care that a careful person would take.
.liability | the duty to pay for harm that was done.
.nuisance | something that keeps a person from enjoying their home.
.trespass | going on the land of another person without leave.
.slander | saying a false and bad thing about a person.
.libel | writing a false and bad thing about a person.
.privacy | the right to keep your own life to yourself.
.property | all the things that a person owns.
owner | a person to whom a thing belongs.
.possession | having a thing in your hands or under your control.
.title | the right to call a thing your own.
easement | a right to use the land of another, as for a path.
boundary | the line where one piece of land ends and another begins.
neighbour | a person who lives next to you.
gift | a thing that is given and not paid for.
sale | the act of giving a thing for money.
buyer | a person who gets a thing for money.
seller | a person who gives a thing for money.
price | the money that must be paid for a thing.
warranty | a promise that a thing will work as it should.
receipt | a paper that shows that money was paid.
invoice | a paper that says how much must be paid.
signature | a name that a person writes to agree to a paper.
seal | a mark that shows that a paper is real.
notary | a person who checks that papers are signed in the right way.
copy | a paper that looks the same as another paper.
clause | one part of an agreement.
condition | something that must happen before a duty begins.
duty | something that a person must do.
right | something that the law lets a person do or have.
law | a rule that the state makes for all people.
rule | a line that says what may and may not be done.
statute | a law that was written by a parliament.
treaty | an agreement between two or more states.
constitution | the highest law of a state.
parliament | a group of people who make the laws of a state.
vote | the choice of a person in an election.
citizen | a person who belongs to a state.
alien | a person who lives in a state and does not belong to it.
.asylum | safety that a state gives to a person in danger.
passport | a paper that shows who you are when you travel.
visa | a mark that lets a person come into a state.
prison | a place where guilty people are kept.
prisoner | a person who is kept in a prison.
.probation | a time in which a guilty person is free but watched.
.parole | leaving prison early with a promise to behave.
pardon | an act that frees a person from punishment.
mediator | a person who helps two sides to agree.
arbiter | a person whom both sides ask to decide.
settlement | an agreement that ends a fight before the court decides.
hearing | a meeting where a judge listens to people.
summons | a paper that tells a person to come to court.
injunction | an order from the court to stop doing something.
order | a thing that the court tells a person to do.
record | a paper that keeps what was said and done.
clerk | a person who keeps the papers of the court.
agent | a person who acts for another person.
proxy | a person who may vote for another person.
trust | a way to hold money or land for another person.
trustee | a person who holds money or land for another person.
estate | all that a person leaves behind after death.
`;

const QUESTIONS = [
  (term, _word, is) => `What ${is} ${term}?`,
  (term, _word, is) => `What ${is} ${term} in law?`,
  (_term, word) => `What does "${word}" mean?`,
  (term) => `Define ${term}.`,
  (_term, word) => `Explain the word "${word}".`,
  (term, _word, is) => `Tell me what ${term} ${is}.`,
];

export function legalDefinitions() {
  const random = seeded(66);
  const question = random.deck(QUESTIONS);
  const rows = TERMS.trim()
    .split('\n')
    .map((line) => {
      const [name, meaning] = line.split(' | ');
      const word = name.replace('.', '');
      const term = name === word ? `${article(word)} ${word}` : word;
      const is = word === 'damages' ? 'are' : 'is';
      return row(question()(term, word, is), `${capitalise(term)} ${is} ${meaning}`);
    });
  return random.shuffle(rows);
}
